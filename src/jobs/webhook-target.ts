/**
 * Where deliveries may go: public addresses only, unless the shop says otherwise.
 *
 * A name proves nothing, and what it led to yesterday less. So the addresses are checked inside the
 * very look-up that the connection is made from: what was checked is what is connected to, and a
 * name server that answers differently the second time (DNS rebinding) is never asked a second time.
 */
import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup as systemLookup, Resolver } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { WEBHOOK_URL_CHARS_MAX } from '../domain/webhook.ts';
import type { WebhookTargets } from '../domain/webhook.ts';

/** Not the public internet, or not one host of it. Source: IANA's special-purpose registry. */
const SPECIAL_V4 = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8], // loopback
  ['169.254.0.0', 16], // link-local, and where clouds keep their credentials
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16], // private
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
] as const;
/**
 * Of IPv6 everything is special but 2000::/3, and of that these. IPv4 addresses that are written as
 * IPv6 ones (mapped, NAT64) are outside of it; 6to4 and Teredo carry one within.
 */
const GLOBAL_V6 = ['2000::', 3] as const;
const SPECIAL_V6 = [
  ['2001::', 23], // protocol assignments, Teredo
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4
  ['3fff::', 20], // documentation
] as const;

const special = new BlockList();
for (const [net, prefix] of SPECIAL_V4) special.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of SPECIAL_V6) special.addSubnet(net, prefix, 'ipv6');
const global = new BlockList();
global.addSubnet(...GLOBAL_V6, 'ipv6');

/** `localhost` and its kind lead to this machine by definition (RFC 6761). */
const LOCAL_NAME = /(^|\.)localhost\.?$/;
const NOT_PUBLIC = 'must not lead to a private or local address';

/** Of one question to one name server, and how often it is asked. */
const DNS_MS = 2000;
const DNS_TRIES = 2;

/** Every address that a name has. Rejects when it has none. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface TargetOptions {
  /** Whether private and local addresses are fine: in development, or within one network. */
  readonly allowPrivate: boolean;
  /** DNS unless a test says otherwise. */
  readonly resolve?: Resolve;
}

/** Whether an address is one of the public internet. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, 'ipv4');
  return family === 6 && global.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

export class WebhookTarget implements WebhookTargets {
  readonly #allowPrivate: boolean;
  readonly #resolve: Resolve;

  constructor({ allowPrivate, resolve }: TargetOptions) {
    this.#allowPrivate = allowPrivate;
    this.#resolve = resolve ?? (allowPrivate ? resolveLikeSystem : resolveByDns);
  }

  refusal(text: string): string | undefined {
    const url = URL.parse(text);
    if (url === null || text.length > WEBHOOK_URL_CHARS_MAX) return 'must be a URL';
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      return 'must be an https or http URL';
    if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
    // The parser has turned every spelling of an IPv4 address into the one with four numbers.
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (this.#allowPrivate) return undefined;
    const isLocal = isIP(host) === 0 ? LOCAL_NAME.test(host) : !isPublic(host);
    return isLocal ? NOT_PUBLIC : undefined;
  }

  /** For the `lookup` of a request. Node looks up no literal address: ask `refusal` first. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    void this.#answer(hostname, options, callback);
  };

  /** What the callback throws is Node's own defect, and is told as one. */
  async #answer(
    hostname: string,
    options: LookupOptions,
    callback: Parameters<LookupFunction>[2],
  ): Promise<void> {
    let addresses: readonly LookupAddress[];
    try {
      addresses = await this.#addresses(hostname, options);
    } catch (error) {
      return callback(toError(error), '');
    }
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  }

  /** @throws Error when there is none, or one that nothing may be sent to. */
  async #addresses(hostname: string, { family }: LookupOptions): Promise<readonly LookupAddress[]> {
    const all = await this.#resolve(hostname);
    if (!this.#allowPrivate && !all.every(({ address }) => isPublic(address))) {
      throw new Error(`${hostname} ${NOT_PUBLIC}`);
    }
    const wanted = all.filter((it) => (family !== 4 && family !== 6 ? true : it.family === family));
    if (wanted.length === 0) throw new Error(`${hostname} has no address`);
    return wanted;
  }
}

/**
 * By DNS alone, without getaddrinfo: that occupies one of the few threads on which passwords are
 * hashed for as long as somebody's slow name server likes.
 */
async function resolveByDns(hostname: string): Promise<readonly LookupAddress[]> {
  const resolver = new Resolver({ timeout: DNS_MS, tries: DNS_TRIES });
  const [v4, v6] = await Promise.allSettled([
    resolver.resolve4(hostname),
    resolver.resolve6(hostname),
  ]);
  const found: LookupAddress[] = [];
  if (v4.status === 'fulfilled') found.push(...v4.value.map((address) => ({ address, family: 4 })));
  if (v6.status === 'fulfilled') found.push(...v6.value.map((address) => ({ address, family: 6 })));
  if (found.length === 0 && v4.status === 'rejected') throw toError(v4.reason);
  return found;
}

/** As every program of this machine does it: the hosts file, the names of a private network. */
function resolveLikeSystem(hostname: string): Promise<readonly LookupAddress[]> {
  return systemLookup(hostname, { all: true });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
