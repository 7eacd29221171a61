/** Cents for a parcel, by zone: up to each weight in grams. */
export const SHIPPING_RATES = {
  town: [
    { upToGrams: 5_000, cents: 250 },
    { upToGrams: 20_000, cents: 450 },
  ],
  country: [
    { upToGrams: 2_000, cents: 495 },
    { upToGrams: 10_000, cents: 795 },
    { upToGrams: 25_000, cents: 1_295 },
  ],
  abroad: [
    { upToGrams: 2_000, cents: 1_250 },
    { upToGrams: 10_000, cents: 2_450 },
  ],
};

const FREE_FROM_CENTS = { town: 3_000, country: 7_500 };

/** What sending costs. Throws when no parcel of the zone may weigh that much. */
export function shippingCost(zone, weightGrams, subtotalCents = 0) {
  const rates = SHIPPING_RATES[zone];
  if (!rates) throw new RangeError(`we do not deliver to zone "${zone}"`);
  const rate = rates.find(({ upToGrams }) => weightGrams <= upToGrams);
  if (!rate) throw new RangeError(`${weightGrams} g is too heavy for one parcel to zone "${zone}"`);
  return subtotalCents >= (FREE_FROM_CENTS[zone] ?? Number.POSITIVE_INFINITY) ? 0 : rate.cents;
}
