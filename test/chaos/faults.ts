import { killNow } from '../support/processes.ts';
import type { Chance } from './chance.ts';
import type { World } from './world.ts';

/** One thing that can go wrong, at one place. */
export interface Strike {
  /** What is struck; nothing else is done to it meanwhile. */
  targets: string[];
  /** Whether what it presupposes is there. Absent: it presupposes nothing. */
  mayBegin?(): boolean;
  /** How long until it is mended; 0 where nobody has to mend it. */
  holdMs: number;
  /** Looked at just before: ids of the workers whose progress it holds up; `undefined`: all alike. */
  touches(): Promise<string[] | undefined>;
  /** @returns whether there was something to strike */
  inject(): Promise<boolean>;
  heal(): Promise<void>;
}

export interface Fault {
  kind: string;
  /** It ends processes with `kill -9`. */
  isKill: boolean;
  /** How often it comes up in a round, beside the others. */
  weight: number;
  /** @returns `undefined` where this world has nothing that can fail so */
  aim(world: World, chance: Chance): Strike | undefined;
}

/** A database that is never up for long would hide everything else. */
const DATABASE_AT_LEAST_UP_MS = 5_000;

const nothingToMend = async (): Promise<void> => {};

/** One of those to which it can be done. */
function pickAny<Item>(items: readonly Item[], chance: Chance): Item | undefined {
  return items.length === 0 ? undefined : chance.pick(items);
}

const serverKill: Fault = {
  kind: 'server killed',
  isKill: true,
  weight: 3,
  aim(world, chance) {
    const server = chance.pick(world.servers);
    return {
      targets: [server.name],
      mayBegin: () => world.servers.every(({ isWell }) => isWell),
      holdMs: chance.between(100, 3_000),
      touches: () => world.workersOf(server),
      async inject() {
        await server.kill();
        return true;
      },
      heal: () => server.start(),
    };
  },
};

const serverPause: Fault = {
  kind: 'server paused',
  isKill: false,
  weight: 2,
  aim(world, chance) {
    const server = chance.pick(world.servers);
    return {
      targets: [server.name],
      mayBegin: () => world.servers.every(({ isWell }) => isWell),
      holdMs: chance.between(300, 7_000),
      touches: () => world.workersOf(server),
      async inject() {
        server.pause();
        return true;
      },
      async heal() {
        server.goOn();
      },
    };
  },
};

const allServersKill: Fault = {
  kind: 'all servers killed',
  isKill: true,
  weight: 1,
  aim: ({ servers }, chance) => ({
    targets: servers.map(({ name }) => name),
    mayBegin: () => servers.every(({ isWell }) => isWell),
    holdMs: chance.between(100, 1_500),
    touches: async () => undefined,
    async inject() {
      await Promise.all(servers.map((server) => server.kill()));
      return true;
    },
    async heal() {
      await Promise.all(servers.map((server) => server.start()));
    },
  }),
};

const postgresKill: Fault = {
  kind: 'PostgreSQL killed',
  isKill: true,
  weight: 1,
  aim: ({ database }, chance) => ({
    targets: ['database'],
    mayBegin: () => database.upMs() > DATABASE_AT_LEAST_UP_MS,
    holdMs: chance.between(50, 2_000),
    touches: async () => undefined,
    async inject() {
      database.kill();
      return true;
    },
    heal: () => database.start(),
  }),
};

const daemonKill: Fault = {
  kind: 'daemon killed',
  isKill: true,
  weight: 4,
  aim({ workers }, chance) {
    const worker = chance.pick(workers);
    return {
      targets: [worker.name],
      holdMs: 0,
      touches: async () => [worker.id],
      async inject() {
        const pid = worker.daemon();
        if (pid === undefined) return false;
        killNow(pid);
        return true;
      },
      heal: nothingToMend,
    };
  },
};

const holderKill: Fault = {
  kind: 'link program killed',
  isKill: true,
  weight: 4,
  aim({ workers }, chance) {
    const worker = pickAny(
      workers.filter(({ linkHolders }) => linkHolders),
      chance,
    );
    return (
      worker && {
        targets: [worker.name],
        holdMs: chance.between(50, 1_000),
        touches: async () => [worker.id],
        async inject() {
          const pids = worker.linkHolders?.pids() ?? [];
          if (pids.length === 0) return false;
          killNow(...pids);
          return true;
        },
        async heal() {
          worker.linkHolders?.restart();
        },
      }
    );
  },
};

const linkCut: Fault = {
  kind: 'link cut',
  isKill: false,
  weight: 3,
  aim({ workers }, chance) {
    const worker = pickAny(
      workers.filter(({ link }) => link),
      chance,
    );
    return (
      worker && {
        targets: [worker.name],
        holdMs: chance.between(300, 7_000),
        touches: async () => [worker.id],
        async inject() {
          worker.link?.blackhole();
          return true;
        },
        async heal() {
          worker.link?.heal();
        },
      }
    );
  },
};

const linkReset: Fault = {
  kind: 'link reset',
  isKill: false,
  weight: 2,
  aim({ workers }, chance) {
    const worker = pickAny(
      workers.filter(({ link }) => link),
      chance,
    );
    return (
      worker && {
        targets: [worker.name],
        holdMs: 0,
        touches: async () => [worker.id],
        async inject() {
          worker.link?.reset();
          return true;
        },
        heal: nothingToMend,
      }
    );
  },
};

const reboot: Fault = {
  kind: 'machine rebooted',
  isKill: true,
  weight: 2,
  aim({ workers }, chance) {
    const worker = pickAny(
      workers.filter((one) => one.reboot),
      chance,
    );
    return (
      worker && {
        targets: [worker.name],
        holdMs: chance.between(200, 3_000),
        touches: async () => [worker.id],
        async inject() {
          await worker.reboot?.down();
          return true;
        },
        async heal() {
          await worker.reboot?.up();
        },
      }
    );
  },
};

const diskFull: Fault = {
  kind: 'disk full',
  isKill: false,
  weight: 1,
  aim({ workers }, chance) {
    const worker = pickAny(
      workers.filter(({ disk }) => disk),
      chance,
    );
    return (
      worker && {
        targets: [`the disk of ${worker.name}`],
        holdMs: chance.between(500, 4_000),
        touches: async () => [],
        async inject() {
          worker.disk?.fill();
          return true;
        },
        async heal() {
          worker.disk?.clear();
        },
      }
    );
  },
};

export const FAULTS: readonly Fault[] = [
  serverKill,
  serverPause,
  allServersKill,
  postgresKill,
  daemonKill,
  holderKill,
  linkCut,
  linkReset,
  reboot,
  diskFull,
];
