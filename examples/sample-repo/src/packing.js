/** Puts things into as few parcels as it takes, heaviest first, each into the fullest parcel that still takes it. */
export function packParcels(things, capacityGrams) {
  const parcels = [];
  for (const thing of [...things].sort((a, b) => b.weightGrams - a.weightGrams)) {
    if (thing.weightGrams > capacityGrams) throw new RangeError(`${thing.id} weighs more than a parcel may`);
    let best;
    for (const parcel of parcels) {
      const fits = parcel.weightGrams + thing.weightGrams <= capacityGrams;
      if (fits && (best === undefined || parcel.weightGrams > best.weightGrams)) best = parcel;
    }
    if (best === undefined) {
      best = { weightGrams: 0, things: [] };
      parcels.push(best);
    }
    best.weightGrams += thing.weightGrams;
    best.things.push(thing.id);
  }
  return parcels;
}

/** The fewest parcels there can be, found by trying everything that could be better: for at most some twenty things. */
export function fewestParcels(weightsGrams, capacityGrams) {
  const weights = [...weightsGrams].sort((a, b) => b - a);
  const suffix = weights.map((_, index) => weights.slice(index).reduce((sum, weight) => sum + weight, 0));
  let best = weights.length;
  const place = (index, loads) => {
    const free = loads.reduce((sum, load) => sum + capacityGrams - load, 0);
    const atLeast = loads.length + Math.max(0, Math.ceil(((suffix[index] ?? 0) - free) / capacityGrams));
    if (atLeast >= best) return;
    if (index === weights.length) {
      best = loads.length;
      return;
    }
    const tried = new Set();
    for (let parcel = 0; parcel < loads.length; parcel += 1) {
      const load = loads[parcel];
      if (load + weights[index] > capacityGrams || tried.has(load)) continue;
      tried.add(load);
      place(index + 1, loads.with(parcel, load + weights[index]));
    }
    place(index + 1, [...loads, weights[index]]);
  };
  place(0, []);
  return best;
}
