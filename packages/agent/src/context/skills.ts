import { CodedError } from '@helixcode/protocol/errors';
import { parse } from 'yaml';
import { z } from 'zod';
import { decode } from '../edit/file-text.ts';
import { fileIfThere } from '../tools/open-file.ts';
import type { Workspace } from '../workspace.ts';

/** Folders of skills: each has a folder of its own with a `SKILL.md`. */
export const SKILL_FOLDERS = ['.agents/skills', '.helix/skills'];

const MAX_SKILLS = 50;
const MAX_SKILL_BYTES = 64 * 1024;
const NAME_CHARACTERS = 64;
const DESCRIPTION_CHARACTERS = 300;

/** How to do something, which is read only when it is needed. */
export interface Skill {
  name: string;
  /** When it is needed; one line. */
  description: string;
  /** What to read then. */
  path: string;
}

const frontMatter = z.object({ name: z.string().trim().min(1), description: z.string().trim().min(1) });

/** The skills of a project, by name. What is not written as a skill is left out. */
export async function findSkills(workspace: Workspace): Promise<Skill[]> {
  const skills = new Map<string, Skill>();
  for (const folder of SKILL_FOLDERS) {
    for (const path of await skillFiles(workspace, folder)) {
      const skill = await readSkill(workspace, path);
      if (skill !== undefined && !skills.has(skill.name)) skills.set(skill.name, skill);
    }
  }
  return [...skills.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, MAX_SKILLS);
}

async function skillFiles(workspace: Workspace, folder: string): Promise<string[]> {
  try {
    const { entries } = await workspace.list({ folder, depth: 1, maxEntries: MAX_SKILLS * 2 });
    return entries.filter(({ kind }) => kind === 'folder' || kind === 'link').map(({ path }) => `${path}/SKILL.md`);
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith('workspace.')) return [];
    throw error;
  }
}

async function readSkill(workspace: Workspace, path: string): Promise<Skill | undefined> {
  try {
    const file = await fileIfThere(workspace, path, MAX_SKILL_BYTES);
    const head = file && /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(decode(file.bytes))?.[1];
    if (head === undefined) return undefined;
    const { name, description } = frontMatter.parse(parse(head));
    // One line each: a description must not look like another part of the prompt.
    return { name: oneLine(name, NAME_CHARACTERS), description: oneLine(description, DESCRIPTION_CHARACTERS), path };
  } catch (error) {
    if (error instanceof CodedError && !error.code.startsWith('workspace.')) throw error;
    return undefined;
  }
}

function oneLine(text: string, maxCharacters: number): string {
  return text.replace(/\s+/g, ' ').slice(0, maxCharacters).toWellFormed();
}
