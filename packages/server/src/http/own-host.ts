const loopback = /^(localhost|(.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Whether a request means us by its `Host` header. A page of a foreign site can have its own name resolve to our address
 * (DNS rebinding) and then counts as same-origin here; the name in this header gives it away.
 *
 * @param host       the header: `name`, `name:port`, `[address]:port`
 * @param configured what the server was told to listen on, and other names it goes by
 * @param arrivedAt  our address of the connection: whoever asks by address was not led here by a name
 */
export function isOwnHost(host: string | undefined, configured: readonly string[], arrivedAt: string | undefined): boolean {
  const name = host?.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');
  if (!name) return false;
  if (loopback.test(name) || configured.some((own) => bracketed(own.toLowerCase()) === name)) return true;
  // A socket for both families shows an IPv4 address in IPv6 form.
  return arrivedAt !== undefined && bracketed(arrivedAt.replace(/^::ffff:/, '')) === name;
}

function bracketed(address: string): string {
  return address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
}
