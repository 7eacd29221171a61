import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { scale } from './money.js';

/** One folder per test run, so that no run counts on rates that another one fetched. */
const DEFAULT_FOLDER = path.join(homedir(), '.cache', `corner-shop-rates-${process.env.HELIX_RUN_ID ?? 'local'}`);

/** The central bank's daily sheet: euros per unit. It is made up anew for every caller, which takes the bank a while. */
export async function askCentralBank() {
  await sleep(900);
  return { CHF: 1.0625, GBP: 1.1582, SEK: 0.0873, USD: 0.9214 };
}

/** Exchange rates of the day, fetched once and then kept in a file. */
export class Exchange {
  #file;
  #fetchRates;

  constructor({ folder = DEFAULT_FOLDER, fetchRates = askCentralBank, day = '2026-03-02' } = {}) {
    this.#file = path.join(folder, `${day}.json`);
    this.#fetchRates = fetchRates;
  }

  async rates() {
    try {
      return JSON.parse(await readFile(this.#file, 'utf8'));
    } catch (error) {
      // Half a file cannot be: it is renamed into its place.
      if (error.code !== 'ENOENT') throw error;
    }
    const rates = await this.#fetchRates();
    await mkdir(path.dirname(this.#file), { recursive: true });
    await writeFile(`${this.#file}.${process.pid}`, JSON.stringify(rates));
    await rename(`${this.#file}.${process.pid}`, this.#file);
    return rates;
  }

  /** Foreign cents in euro cents. */
  async toEuro(cents, currency) {
    if (currency === 'EUR') return cents;
    const rate = (await this.rates())[currency];
    if (rate === undefined) throw new RangeError(`the bank has no rate for ${currency}`);
    return scale(cents, rate);
  }

  async fromEuro(cents, currency) {
    if (currency === 'EUR') return cents;
    const rate = (await this.rates())[currency];
    if (rate === undefined) throw new RangeError(`the bank has no rate for ${currency}`);
    return scale(cents, 1 / rate);
  }
}
