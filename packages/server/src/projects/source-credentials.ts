import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What of a person's git configuration decides how a URL is reached and who asks there; nothing else is taken over. */
const REACHING = /^(credential\.|http\.|https\.|url\.|ssh\.|core\.(sshcommand|gitproxy)$)/i;

/**
 * The person's own way to a URL (credential helpers, proxies, certificates, rewritten URLs, the ssh command), as
 * environment for a git that reads no configuration of theirs. Nothing in it asks, and nothing waits for ever.
 */
export async function sourceCredentials(env: NodeJS.ProcessEnv = process.env): Promise<NodeJS.ProcessEnv> {
  const settings = (await listSettings(env)).filter(([key]) => REACHING.test(key));
  const result: NodeJS.ProcessEnv = { GIT_CONFIG_COUNT: String(settings.length) };
  settings.forEach(([key, value], index) => {
    result[`GIT_CONFIG_KEY_${index}`] = key;
    result[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  const ownCommand = env.GIT_SSH_COMMAND ?? settings.findLast(([key]) => key.toLowerCase() === 'core.sshcommand')?.[1];
  result.GIT_SSH_COMMAND = `${ownCommand ?? env.GIT_SSH ?? 'ssh'} -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15`;
  return result;
}

async function listSettings(env: NodeJS.ProcessEnv): Promise<[key: string, value: string][]> {
  const { stdout } = await execute('git', ['config', '--includes', '--list', '-z'], {
    // Outside any repository, whose own settings are not the person's.
    env: { ...env, GIT_DIR: '/dev/null' },
    maxBuffer: 16 * 1024 * 1024,
  }).catch(() => ({ stdout: '' }));
  return stdout
    .split('\0')
    .filter((entry) => entry.includes('\n'))
    .map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1)]);
}
