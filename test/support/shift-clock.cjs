// Preloaded into a daemon: a machine whose clock is wrong by $SHIFT_CLOCK_MS. The times of its files are wrong in the same way.
const fs = require('node:fs');

const shiftMs = Number(process.env.SHIFT_CLOCK_MS);
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + shiftMs] : args));
  }
  static now() {
    return RealDate.now() + shiftMs;
  }
};
for (const name of ['statSync', 'lstatSync', 'fstatSync']) {
  const real = fs[name];
  fs[name] = (...args) => {
    const stat = real(...args);
    if (stat && typeof stat.mtimeMs === 'number') stat.mtimeMs += shiftMs;
    return stat;
  };
}
