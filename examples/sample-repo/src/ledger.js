/** Double-entry books: every booking adds up to nothing, so that the accounts together do too. */
export class Ledger {
  #bookings = [];
  #balances = new Map();

  /** @param entries account to cents, e.g. `{ cash: 1210, sales: -1000, vat: -210 }` */
  book(text, entries) {
    const sum = Object.values(entries).reduce((total, cents) => total + cents, 0);
    if (sum !== 0) throw new RangeError(`"${text}" is out of balance by ${sum} cents`);
    for (const [account, cents] of Object.entries(entries)) this.#balances.set(account, this.balance(account) + cents);
    this.#bookings.push(Object.freeze({ number: this.#bookings.length + 1, text, entries: Object.freeze({ ...entries }) }));
    return this.#bookings.length;
  }

  /** Undoes a booking by its opposite: nothing is ever erased. */
  reverse(number) {
    const booking = this.#bookings[number - 1];
    if (!booking) throw new RangeError(`there is no booking ${number}`);
    const opposite = Object.fromEntries(Object.entries(booking.entries).map(([account, cents]) => [account, -cents]));
    return this.book(`reversal of ${number}: ${booking.text}`, opposite);
  }

  balance(account) {
    return this.#balances.get(account) ?? 0;
  }

  bookings() {
    return [...this.#bookings];
  }

  trialBalance() {
    return [...this.#balances.values()].reduce((sum, cents) => sum + cents, 0);
  }
}
