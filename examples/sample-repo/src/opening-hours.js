const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** Minutes of a day that the shop is open, e.g. `{ monday: [['08:00', '12:30'], ['14:00', '18:00']] }`; local time is UTC here. */
export class OpeningHours {
  #spans;
  #closedDays;

  constructor(week, closedDays = []) {
    this.#spans = WEEKDAYS.map((day) => (week[day] ?? []).map(([from, to]) => [minutesOf(from), minutesOf(to)]));
    this.#closedDays = new Set(closedDays);
  }

  isOpen(date) {
    const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
    return this.#spansOf(date).some(([from, to]) => minute >= from && minute < to);
  }

  /** When the shop opens next; `date` itself when it is open. `undefined` when not within four weeks. */
  nextOpening(date) {
    if (this.isOpen(date)) return date;
    const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
    for (let days = 0; days <= 28; days += 1) {
      const day = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + days));
      const span = this.#spansOf(day).find(([from]) => days > 0 || from > minute);
      if (span) return new Date(day.getTime() + span[0] * 60_000);
    }
    return undefined;
  }

  #spansOf(date) {
    return this.#closedDays.has(date.toISOString().slice(0, 10)) ? [] : this.#spans[date.getUTCDay()];
  }
}

function minutesOf(time) {
  const match = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(time);
  if (!match) throw new RangeError(`"${time}" is not a time of day`);
  return Number(match[1]) * 60 + Number(match[2]);
}
