/** One point per whole euro, twice as many from gold on; a hundred points are worth one euro. */
export const LEVELS = [
  { name: 'regular', fromPoints: 0, factor: 1 },
  { name: 'silver', fromPoints: 500, factor: 1.5 },
  { name: 'gold', fromPoints: 2_000, factor: 2 },
];

export function levelOf(points) {
  return LEVELS.findLast((level) => points >= level.fromPoints);
}

export function pointsFor(paidCents, pointsBefore) {
  return Math.floor(Math.floor(paidCents / 100) * levelOf(pointsBefore).factor);
}

/** Whole euros that points pay of a bill, and what is left of the points. */
export function redeem(points, billCents) {
  const euros = Math.min(Math.floor(points / 100), Math.floor(billCents / 100));
  return { cents: euros * 100, pointsLeft: points - euros * 100 };
}
