/** A file with what identifies its content. */
export interface FileContent {
  bytes: Uint8Array;
  /** SHA-256 of the bytes, in hex. */
  hash: string;
}

/** A file that must not exist yet, where otherwise its hash would stand. */
export const ABSENT = 'absent';

export interface FolderEntry {
  /** Relative to the workspace, with `/` between its parts. */
  path: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  /** Of a file. */
  bytes?: number;
}

export interface ListRequest {
  /** `''` is the workspace itself. */
  folder: string;
  /** 1: only what lies in the folder itself. */
  depth: number;
  maxEntries: number;
}

export interface Listing {
  /** By path. */
  entries: FolderEntry[];
  /** How many more there are; at least so many where `isCounted` is false. */
  leftOut: number;
  isCounted: boolean;
}

export interface SearchRequest {
  /** Regular expression of one line; what engines differ in (look-around, back references) is not promised. */
  pattern: string;
  /** File or folder; `''` is the workspace itself. */
  path: string;
  /** Only files whose path, or name where the glob has no `/`, matches. */
  glob?: string;
  ignoreCase: boolean;
  maxMatches: number;
}

export interface SearchMatch {
  path: string;
  /** From 1. */
  line: number;
  text: string;
}

export interface SearchResult {
  /** By path, then line. */
  matches: SearchMatch[];
  /** There are more than `maxMatches`. */
  isCut: boolean;
}

export interface RunRequest {
  /** A program for `/bin/sh`. Its standard input is empty. */
  command: string;
  /** Folder to start in; `''` is the workspace itself. */
  folder: string;
  /** Wall time; then the command and all it started are stopped. */
  timeoutMs: number;
  /** How much of the output is brought back: so many of its first bytes, and of the last ones where there are more. */
  headBytes: number;
  tailBytes: number;
  /** A command that writes more is stopped. */
  maxOutputBytes: number;
}

/** What a command wrote to standard output and standard error, in the order it was written. */
export interface CapturedOutput {
  head: Uint8Array;
  /** The last bytes that are not in `head`; empty where `head` is all. */
  tail: Uint8Array;
  totalBytes: number;
  /** Where all of it is kept, as a command in the workspace names it. */
  file?: string;
}

export interface RunResult {
  ending: 'exited' | 'signalled' | 'timed_out' | 'output_limit';
  /** Of a command that exited. */
  exitCode?: number;
  /** Of one that was ended by a signal. */
  signal?: string;
  output: CapturedOutput;
}

/**
 * The files of one run and the machine they are on.
 *
 * Every path is relative to the workspace. An implementation resolves symbolic links itself: one that stays inside is followed (and stays a link), one that leads
 * out is refused with `workspace.path_refused`, for reading as for writing. A failure of the connection rises as the error it is: it is not an outcome.
 */
export interface Workspace {
  /** Absolute path of the workspace on its machine: what models read in the output of commands. */
  readonly root: string;
  /** @throws CodedError `workspace.file_missing`, `workspace.not_a_file`, `workspace.file_too_large`, `workspace.path_refused` */
  readFile(path: string, maxBytes: number): Promise<FileContent>;
  /**
   * Replaces the file in one step, if its content is still what `expected` says, and keeps its mode. Makes the folders it needs.
   *
   * @param expected hash of the content to be replaced, or `ABSENT`
   * @returns the hash of what is there now
   * @throws CodedError `workspace.file_changed`, `workspace.not_a_file`, `workspace.path_refused`
   */
  writeFile(path: string, bytes: Uint8Array, expected: string): Promise<string>;
  /** @throws CodedError `workspace.file_changed`, `workspace.file_missing`, `workspace.path_refused` */
  removeFile(path: string, expected: string): Promise<void>;
  /** Files that git ignores are left out. @throws CodedError `workspace.file_missing`, `workspace.path_refused` */
  list(request: ListRequest): Promise<Listing>;
  /** Files that git ignores, and binary ones, are left out. @throws CodedError `workspace.pattern_refused`, `workspace.path_refused` */
  search(request: SearchRequest): Promise<SearchResult>;
  run(request: RunRequest, signal: AbortSignal): Promise<RunResult>;
  /** Identifies the content of all files that are not ignored: equal trees have equal hashes. */
  treeHash(): Promise<string>;
}
