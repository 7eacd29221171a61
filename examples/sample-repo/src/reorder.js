/** Mean and standard deviation of what was sold per day. */
export function demandOf(soldPerDay) {
  const mean = soldPerDay.reduce((sum, sold) => sum + sold, 0) / soldPerDay.length;
  const variance = soldPerDay.reduce((sum, sold) => sum + (sold - mean) ** 2, 0) / soldPerDay.length;
  return { mean, deviation: Math.sqrt(variance) };
}

/** The stock at which to order again, so that 97.5 % of deliveries come before the shelf is empty. */
export function reorderPoint(soldPerDay, deliveryDays) {
  const { mean, deviation } = demandOf(soldPerDay);
  return Math.ceil(mean * deliveryDays + 1.96 * deviation * Math.sqrt(deliveryDays));
}

/**
 * Plays days of selling and ordering: how often a customer found the shelf empty.
 *
 * @param random gives numbers from 0 up to 1
 */
export function simulateShelf({ soldPerDay, deliveryDays, orderAt, orderPieces, days }, random) {
  let onShelf = orderAt + orderPieces;
  let turnedAway = 0;
  let asked = 0;
  const deliveries = [];
  for (let day = 0; day < days; day += 1) {
    if (deliveries[0]?.day === day) onShelf += deliveries.shift().pieces;
    const demand = soldPerDay[Math.floor(random() * soldPerDay.length)];
    asked += demand;
    turnedAway += Math.max(0, demand - onShelf);
    onShelf = Math.max(0, onShelf - demand);
    const underWay = deliveries.reduce((sum, delivery) => sum + delivery.pieces, 0);
    if (onShelf + underWay <= orderAt) deliveries.push({ day: day + deliveryDays, pieces: orderPieces });
  }
  return { asked, turnedAway, missRate: asked === 0 ? 0 : turnedAway / asked };
}
