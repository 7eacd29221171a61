/**
 * What HelixCode is to do, by the ids that tests cite: the title of a test that shows a part of it ends with `[W7]`.
 * One sentence each says what a person gets.
 */
export const REQUIREMENTS = {
  W1: 'Machines reached by ssh become workers by configuration, command or API, with the ssh settings a person already has.',
  W2: 'A worker behind a firewall dials in, also from a container, and is as good as a dialled one.',
  W3: 'A bare host needs nothing but sshd to become a worker, is kept up to date by content, and is left clean.',
  W4: 'What a machine is and has is found out: platform, resources, graphics cards, programs that really run, model servers.',
  W5: 'The health and load of each worker are known, and every change of its connection is kept.',
  W6: 'Work goes where it fits and where there is room, so that no slot is idle while something waits.',
  W7: 'Nothing that is cut or killed between a job and the database loses work, or a byte of output.',
  W8: 'Linux with any C library and macOS are supported, and other platforms are refused by name.',
  W9: 'A host key is trusted only when it is known, and a person is shown how to accept it.',

  T1: 'A task is divided into subtasks that may need each other, and put together again.',
  T2: 'There is a kind of task for commands, builds, tests, scans, plans, writing code, refactoring and fixing.',
  T3: 'Tasks have priorities, fair shares, tries with pauses, deadlines, and are cancelled as whole trees.',
  T4: 'The state of a task and its uncommitted files are kept off the worker, at named points and by themselves.',
  T5: 'A person says whether a task waits for its lost worker or goes on elsewhere.',
  T6: 'A task goes back to any point that was kept.',
  T7: 'Progress and output are seen as they happen, and can be replayed from any point without a gap.',
  T8: 'What fails is tried elsewhere, and never takes the finished results of others with it.',
  T9: 'Every state is in one table, and what is not known is never called a success.',

  M1: 'A plan with its costs is made by looking only, and runs once a person agrees.',
  M2: 'A build is divided over the workers that fit, and what did not change is not built again.',
  M3: 'A suite is divided by measured times, and its merged result names failures and flaky tests.',
  M4: 'A change across many files is made by several agents, verified, and undone as a whole if it fails.',
  M5: 'A session is shared, paused, branched and rewound, its files included.',

  L1: 'Every model is used through one interface, with tools, reasoning, structure, images and cost.',
  L2: 'Hosted vendors and local programs are adapters of that interface.',
  L3: 'Ways of reasoning can be chosen, have a budget, and show their steps.',
  L4: 'Models are found, fetched, matched to the machine and to the task, and replaced when they fail.',
  L5: 'A model that runs on a worker can be used by the server.',
  L6: 'A suite of trials tells how well a model works here, and what it costs.',

  P1: 'Tools of many MCP servers, wherever they run, come and go while the product runs.',
  P2: 'The product itself is an MCP server.',
  P3: 'Both sides of MCP authenticate, and leave no process behind.',

  C1: 'The HTTP API, its description and its live events are true to each other.',
  C2: 'The command line is made for scripts too: JSON, exit statuses, completion, progress.',
  C3: 'A terminal interface of 80 by 24 characters is enough for all daily work.',
  C4: 'A web page shows and does all of it, live.',
  C5: 'Phones get the same, with notifications.',

  N1: 'Chat services, mail and signed webhooks carry notifications.',
  N2: 'Rules decide who is told of what, when and how, and nothing is lost on the way.',
  N3: 'A question can be answered from its notification.',

  H1: 'Programs stream their logs over gRPC, and none that was accepted is lost.',
  H2: 'Logs come in by the common protocols, and from files.',
  H3: 'Log lines become faults: grouped, counted, with their surroundings and without secrets.',
  H4: 'The project behind a log is at hand with its symbols and dependencies.',
  H5: 'A fix is trusted for what was seen: a reproduction that failed and then passed, and the suite.',
  H6: 'A fix is suggested, or delivered as one pull request.',
  H7: 'Several repositories, nodes, rules and forges work side by side.',

  D1: 'PostgreSQL holds all state, and comes along where none is configured.',
  D2: 'Several servers may share limits and caches through Redis, and need not.',
  D3: 'One configuration file with a schema, overridden by the environment, whose errors say what was expected.',

  S1: 'Nobody gets in without proving who they are, and does no more than they may.',
  S2: 'What is stored and sent is protected, and tampering shows.',
  S3: 'Workers hold no keys, and what runs there is fenced in.',

  O1: 'Metrics, traces, logs and alerts tell how the product does.',
  O2: 'Several servers take over from each other without doing anything twice.',
  O3: 'Container images and integrations for build servers are ready to use.',

  X1: 'Plugins extend the product at declared points, within a fence.',
  Q1: 'The API stays quick while hundreds of workers are busy.',

  F1: 'What is called done carries evidence that a model cannot write.',
  F2: 'An agent uses the whole pool to run tests while it works.',
  F3: 'An agent outlives its worker and its server, with the files it had not committed.',
  F4: 'Money is reserved before it is spent.',
  F5: 'A merge queue gives conflicts back to the agent whose change it is.',
  F6: 'From a line in a log to a verified pull request, on machines of your own.',
  F7: 'One agent works on several machines at once.',
} as const;

export type RequirementId = keyof typeof REQUIREMENTS;
