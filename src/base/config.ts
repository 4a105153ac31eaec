/**
 * Settings of the processes, in one table: from each row come a flag, a POLARIS_* variable, a key of the config file
 * and a line of the help, so that none of the four can be forgotten. A flag goes over the environment, the environment
 * over the file, the file over the default.
 *
 * Invariants: every value passes the same parser wherever it came from · an unknown key is an error, never ignored ·
 * nothing but loopback is listened to or talked to unless `insecure` was said.
 */
import { PolarisError } from './errors.ts';
import {
  BLOB_CACHE_MB,
  BLOB_CACHE_MB_MAX,
  MEMBERS_MAX,
  SESSION_TTL_MS,
  SESSION_TTL_MS_MAX,
  SESSION_TTL_MS_MIN,
  SLOTS_MAX,
} from './limits.ts';
import type { LogLevel } from './log.ts';
import type { Address, NodeId } from './types.ts';

/** What `polaris node` hands to the daemon: all filled in and checked. */
export interface NodeProcessConfig {
  readonly id: NodeId;
  /** Port 0 lets the system choose one. */
  readonly listen: Address;
  /** Where others reach this node; null: where it listens. */
  readonly advertise: Address | null;
  /** The founding voters, this node among them. Empty for a one-node cluster, and for a worker. */
  readonly peers: readonly { readonly id: NodeId; readonly address: Address }[];
  /** Any members of the cluster to enter: always for a worker, for a voter instead of peers. */
  readonly join: readonly Address[];
  readonly role: 'voter' | 'worker';
  /** A voter that joins gets its vote as soon as it has caught up. */
  readonly promote: boolean;
  readonly dataDir: string;
  readonly jobsDir: string | null;
  /** Where the trace of the Raft core goes, one JSON line an event; null: nowhere. */
  readonly traceFile: string | null;
  /** 0: this node works on nothing. */
  readonly slots: number;
  readonly blobs: BlobPlace;
  /** Null: a majority of the voters. */
  readonly replicas: number | null;
  /** MiB of memory for pieces of blobs that came from other nodes or from S3. */
  readonly cacheMb: number;
  readonly sessionTtlMs: number;
  readonly insecure: boolean;
  readonly logLevel: LogLevel;
}

interface Setting {
  /** 'text', 'list' (comma between items; an array in the file), 'integer' or 'switch' (true or false). */
  readonly kind: 'text' | 'list' | 'integer' | 'switch';
  readonly flag: string;
  /** Shown in the help; the value itself is made by `nodeProcessConfig`, since some depend on others. */
  readonly defaultText: string;
  readonly text: string;
}

/** Where the bytes of batches lie. The last two are one place for all nodes. */
export type BlobPlace =
  | { readonly kind: 'local' }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

export const SETTINGS = {
  id: { kind: 'text', flag: 'id', defaultText: 'n1', text: 'Name of this node in its cluster' },
  listen: {
    kind: 'text',
    flag: 'listen',
    defaultText: '127.0.0.1:7070',
    text: 'HOST:PORT for HTTP and peers; port 0 takes a free one',
  },
  advertise: {
    kind: 'text',
    flag: 'advertise',
    defaultText: 'as --listen',
    text: 'HOST:PORT where others reach this node',
  },
  peers: {
    kind: 'list',
    flag: 'peers',
    defaultText: 'none: a one-node cluster',
    text: 'The founding voters, this one among them: n1=HOST:PORT,n2=HOST:PORT,n3=HOST:PORT',
  },
  join: { kind: 'list', flag: 'join', defaultText: 'none', text: 'HOST:PORT of any members of the cluster to enter' },
  role: { kind: 'text', flag: 'role', defaultText: 'voter', text: 'voter or worker' },
  promote: {
    kind: 'switch',
    flag: 'promote',
    defaultText: 'true',
    text: 'With --join: a vote as soon as it has caught up; --no-promote leaves it a learner',
  },
  dataDir: { kind: 'text', flag: 'data-dir', defaultText: '.polaris/<id>', text: 'Directory of this node alone' },
  jobs: { kind: 'text', flag: 'jobs', defaultText: 'none', text: 'Directory of job types, beside the bundled ones' },
  traceFile: {
    kind: 'text',
    flag: 'trace-file',
    defaultText: 'none',
    text: 'File to which every change of state of the Raft core is appended, one JSON line each',
  },
  slots: {
    kind: 'integer',
    flag: 'slots',
    defaultText: 'the CPU cores',
    text: 'Tasks worked on at a time; 0: a voter that works on nothing',
  },
  blobs: {
    kind: 'text',
    flag: 'blobs',
    defaultText: 'local',
    text: 'Where batches lie: local (in the data directory of each voter), dir:PATH or s3://BUCKET/PREFIX/ (shared by all)',
  },
  replicas: {
    kind: 'integer',
    flag: 'replicas',
    defaultText: 'a majority',
    text: 'With --blobs local: voters that have a copy before anything is named',
  },
  cacheMb: {
    kind: 'integer',
    flag: 'cache-mb',
    defaultText: String(BLOB_CACHE_MB),
    text: 'MiB of memory for what was read of batches that lie on other nodes or in S3',
  },
  sessionTtlMs: {
    kind: 'integer',
    flag: 'session-ttl-ms',
    defaultText: String(SESSION_TTL_MS),
    text: 'Silence after which a worker is given up',
  },
  insecure: {
    kind: 'switch',
    flag: 'insecure',
    defaultText: 'false',
    text: 'Allow addresses other than loopback, without TLS and tokens',
  },
  logLevel: { kind: 'text', flag: 'log-level', defaultText: 'info', text: 'debug, info, warn, error or silent' },
  url: {
    kind: 'list',
    flag: 'url',
    defaultText: 'http://127.0.0.1:7070',
    text: 'Where the cluster is: one or several http://HOST:PORT with commas',
  },
} as const satisfies Record<string, Setting>;

export type SettingKey = keyof typeof SETTINGS;
export type SettingValue = string | number | boolean | readonly string[];
export type Settings = { readonly [key in SettingKey]?: SettingValue };

export const SETTING_KEYS = Object.keys(SETTINGS) as readonly SettingKey[];

/** Settings of the client commands; all others are those of a node. */
export const CLIENT_KEYS: readonly SettingKey[] = ['url'];
export const NODE_KEYS: readonly SettingKey[] = SETTING_KEYS.filter((key) => !CLIENT_KEYS.includes(key));

/** `POLARIS_SESSION_TTL_MS` for `--session-ttl-ms`. */
export function environmentName(key: SettingKey): string {
  return `POLARIS_${SETTINGS[key].flag.replaceAll('-', '_').toUpperCase()}`;
}

/**
 * The given settings, each from its first source: flags, environment, file. `flags` are keyed like the table.
 *
 * @throws PolarisError USAGE for an unknown key of the file and a value of the wrong kind.
 */
export function resolveSettings(sources: {
  readonly flags: { readonly [key: string]: unknown };
  readonly environment: { readonly [name: string]: string | undefined };
  /** Text of the config file, with its path for the errors; null when there is none. */
  readonly file: { readonly path: string; readonly text: string } | null;
}): Settings {
  const file = sources.file === null ? {} : parseFile(sources.file.path, sources.file.text);
  const settings: { [key in SettingKey]?: SettingValue } = {};
  for (const key of SETTING_KEYS) {
    const variable = environmentName(key);
    const flag = sources.flags[key];
    // An empty variable counts as unset, as shells make it easy to say.
    const fromEnvironment = sources.environment[variable] || undefined;
    if (flag !== undefined) settings[key] = parseValue(key, flag, `--${SETTINGS[key].flag}`);
    else if (fromEnvironment !== undefined) settings[key] = parseValue(key, fromEnvironment, variable);
    else if (file[key] !== undefined) settings[key] = parseValue(key, file[key], `${sources.file?.path}: ${key}`);
  }
  return settings;
}

/**
 * A node's whole configuration.
 *
 * @throws PolarisError USAGE, or NOT_LOOPBACK for an address beyond this machine without `insecure`.
 */
export function nodeProcessConfig(settings: Settings, host: { readonly cores: number }): NodeProcessConfig {
  const id = nodeId((settings.id ?? 'n1') as string, '--id');
  const joining = ((settings.join ?? []) as readonly string[]).map((text) => addressOf(text, '--join'));
  const peers = ((settings.peers ?? []) as readonly string[]).map(peerOf);
  const role = oneOf(settings.role ?? 'voter', ['voter', 'worker'], '--role');
  const config: NodeProcessConfig = {
    id,
    listen: addressOf((settings.listen ?? SETTINGS.listen.defaultText) as string, '--listen', 0),
    advertise: settings.advertise === undefined ? null : addressOf(settings.advertise as string, '--advertise'),
    peers: role === 'voter' ? peers : [],
    // A worker that was given the voters by name joins through any of them.
    join: role === 'voter' ? joining : [...joining, ...peers.filter((peer) => peer.id !== id).map((p) => p.address)],
    role,
    promote: (settings.promote ?? true) as boolean,
    dataDir: (settings.dataDir ?? `.polaris/${id}`) as string,
    jobsDir: (settings.jobs ?? null) as string | null,
    traceFile: (settings.traceFile ?? null) as string | null,
    slots: (settings.slots ?? Math.min(host.cores, SLOTS_MAX)) as number,
    blobs: blobPlace((settings.blobs ?? SETTINGS.blobs.defaultText) as string),
    replicas: (settings.replicas ?? null) as number | null,
    cacheMb: (settings.cacheMb ?? BLOB_CACHE_MB) as number,
    sessionTtlMs: (settings.sessionTtlMs ?? SESSION_TTL_MS) as number,
    insecure: (settings.insecure ?? false) as boolean,
    logLevel: oneOf(settings.logLevel ?? 'info', ['debug', 'info', 'warn', 'error', 'silent'], '--log-level'),
  };
  checkTogether(config);
  return config;
}

/** Rules that look at several settings. */
function checkTogether(config: NodeProcessConfig): void {
  const refuse = (detail: string): never => {
    throw new PolarisError('USAGE', detail);
  };
  if (config.slots < 0 || config.slots > SLOTS_MAX) refuse(`--slots must be from 0 to ${SLOTS_MAX}`);
  if (config.sessionTtlMs < SESSION_TTL_MS_MIN || config.sessionTtlMs > SESSION_TTL_MS_MAX) {
    refuse(`--session-ttl-ms must be from ${SESSION_TTL_MS_MIN} to ${SESSION_TTL_MS_MAX}`);
  }
  if (config.replicas !== null && (config.replicas < 1 || config.replicas > MEMBERS_MAX)) {
    refuse(`--replicas must be from 1 to ${MEMBERS_MAX}`);
  }
  if (config.cacheMb < 1 || config.cacheMb > BLOB_CACHE_MB_MAX) {
    refuse(`--cache-mb must be from 1 to ${BLOB_CACHE_MB_MAX}`);
  }
  if (config.role === 'voter' && config.join.length > 0) {
    if (config.peers.length > 0)
      refuse('a voter either founds a cluster with --peers or enters one with --join, not both');
  }
  if (config.role === 'worker' && config.join.length === 0) refuse('a worker needs --join HOST:PORT');
  if (config.role === 'worker' && config.slots === 0) refuse('a worker with --slots 0 would do nothing');
  const ids = config.peers.map((peer) => peer.id);
  if (new Set(ids).size !== ids.length) refuse('--peers names a node twice');
  if (ids.length > 0 && !ids.includes(config.id)) refuse(`--peers does not name this node, ${config.id}`);
  if (config.insecure) return;
  const addresses = [config.listen, config.advertise, ...config.peers.map((peer) => peer.address), ...config.join];
  const outside = addresses.find((address) => address !== null && !isLoopback(address));
  if (outside !== undefined) {
    throw new PolarisError(
      'NOT_LOOPBACK',
      `${outside} is not a loopback address; say --insecure to use it without TLS and tokens`,
    );
  }
}

/** `local`, `dir:PATH` or `s3://BUCKET/PREFIX/`. @throws PolarisError USAGE */
function blobPlace(text: string): BlobPlace {
  if (text === 'local') return { kind: 'local' };
  const [, path] = /^dir:(.+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: 'directory', path };
  const [, bucket, prefix] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62})\/?((?:[A-Za-z0-9_-]+\/)*)$/.exec(text) ?? [];
  if (bucket !== undefined && prefix !== undefined) return { kind: 's3', bucket, prefix };
  throw new PolarisError('USAGE', `--blobs must be local, dir:PATH or s3://BUCKET/FOLDER/, not "${text}"`);
}

/** Whether an address stays on this machine: localhost, 127.0.0.0/8 or ::1. */
export function isLoopback(address: Address): boolean {
  const { host } = splitAddress(address);
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** Host (an IPv6 one without its brackets) and port of HOST:PORT. */
export function splitAddress(address: Address): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) };
}

function parseFile(path: string, text: string): { readonly [key in SettingKey]?: unknown } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new PolarisError('USAGE', `${path} is not JSON`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new PolarisError('USAGE', `${path} must hold a JSON object`);
  }
  const unknown = Object.keys(parsed).find((key) => !Object.hasOwn(SETTINGS, key));
  if (unknown !== undefined) {
    throw new PolarisError('USAGE', `${path}: unknown key "${unknown}"; known are ${SETTING_KEYS.join(', ')}`);
  }
  return parsed;
}

function parseValue(key: SettingKey, value: unknown, source: string): SettingValue {
  const refuse = (wanted: string): never => {
    throw new PolarisError('USAGE', `${source} must be ${wanted}, not ${JSON.stringify(value)}`);
  };
  switch (SETTINGS[key].kind) {
    case 'text':
      return typeof value === 'string' && value !== '' ? value : refuse('one text that is not empty');
    case 'list': {
      const items: readonly unknown[] =
        typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
      const trimmed = items.map((item) => (typeof item === 'string' ? item.trim() : ''));
      return trimmed.length > 0 && !trimmed.includes('') ? trimmed : refuse('a list with commas');
    }
    case 'integer': {
      const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
      return Number.isSafeInteger(number) ? (number as number) : refuse('an integer');
    }
    case 'switch':
      if (value === true || value === 'true' || value === '1') return true;
      return value === false || value === 'false' || value === '0' ? false : refuse('true or false');
  }
}

function nodeId(text: string, source: string): NodeId {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(text)) return text;
  throw new PolarisError('USAGE', `${source}: "${text}" is no node name; it may have 1 to 64 of A-Z a-z 0-9 . _ -`);
}

function peerOf(text: string): { readonly id: NodeId; readonly address: Address } {
  const equals = text.indexOf('=');
  if (equals < 1) throw new PolarisError('USAGE', `--peers: "${text}" must look like n1=HOST:PORT`);
  return {
    id: nodeId(text.slice(0, equals), '--peers'),
    address: addressOf(text.slice(equals + 1), '--peers'),
  };
}

function addressOf(text: string, source: string, portMin = 1): Address {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match !== null && port >= portMin && port <= 65_535) return text;
  throw new PolarisError('USAGE', `${source}: "${text}" must look like HOST:PORT`);
}

function oneOf<T extends string>(value: SettingValue, allowed: readonly T[], source: string): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new PolarisError('USAGE', `${source} must be one of ${allowed.join(', ')}, not ${JSON.stringify(value)}`);
}
