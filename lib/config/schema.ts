/**
 * What an operator may decide: the one list, from which everything else about it is made.
 *
 *     'spool-bytes' ─┬▶ spool-bytes = "16GiB"             in the file        schema-check.ts, config-file.ts
 *                    ├▶ KV_BACKUP_AGENT_SPOOL_BYTES=16GiB   in the environment  environment.ts
 *                    ├▶ --spool-bytes 16GiB                 on the command line the room `cli`
 *                    ├▶ the types of the values             SettingValues
 *                    └▶ the table in README                 npm run docs
 *
 * Plain data: whoever starts without a file loads no checker. Nothing here is ever a secret: a login
 * stands in a `defaults-file`, which only the backup program reads.
 */

import { LOG_LEVELS, LOG_TARGET_FORM } from '../log/index.ts'
import {
  CLIENT_CERTIFICATES,
  DEFAULT_CONNECTIONS,
  DEFAULT_HOST,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_PORT,
  DEFAULT_SECONDS,
  DEFAULT_SPILL_BYTES,
  DEFAULT_SPOOL_BYTES,
  DEFAULT_SPOOL_DIRECTORY,
  DEFAULT_TOKENS_FILE,
  ENGINE_CHOICES,
} from './agent-settings.ts'
import { ARGUMENTS, MATCH } from './option-set.ts'
import { ROLE_KEYS } from './role.ts'
import { STATE_DIRECTORY_RULE } from './state-directory.ts'
import {
  ADDRESS,
  bytesForm,
  CONNECTIONS,
  FLAG,
  type Form,
  LOG_TARGET,
  oneOf,
  PATH,
  PATHS,
  secondsForm,
} from './value-forms.ts'

export interface Setting<Value> {
  readonly form: Form<Value>
  /** What it decides, in the words of the help text: lower case, no full stop. */
  readonly help: string
  /** What stands for the value in a help text. */
  readonly placeholder: string
  readonly default?: Value
  /** Said in place of a default that depends on the host. */
  readonly defaultText?: string
  /** `server`: says which server is backed up, and how; each instance has its own. */
  readonly scope: 'agent' | 'server'
  /** The option takes no value: `--no-history` says false. One without a placeholder takes none either, and says true. */
  readonly isNegated?: true
  /** Lists stand in the file only. */
  readonly isFileOnly?: true
  /** What is open for as long as the agent lives; SIGHUP does not change it. */
  readonly needsRestart?: true
}

const setting = <Value>(
  placeholder: string,
  form: Form<Value>,
  help: string,
  more: Partial<Setting<NoInfer<Value>>> = {},
): Setting<Value> => ({ scope: 'agent', ...more, placeholder, form, help })

/** Below this not one chunk of an xbstream fits. */
const MIN_MEMORY_BYTES = 1024 * 1024

const seconds = (help: string, value: number, min = 1): Setting<number> =>
  setting('<N>', secondsForm(min), help, { default: value })

const server = { scope: 'server' } as const

export const SETTINGS = {
  listen: setting('<HOST:PORT>', ADDRESS, 'address to listen on; port 0 lets the system choose', {
    default: { host: DEFAULT_HOST, port: DEFAULT_PORT },
  }),
  connections: setting('<N>', CONNECTIONS, 'most connections at the same time', {
    default: DEFAULT_CONNECTIONS.all,
  }),
  'connections-per-source': setting('<N>', CONNECTIONS, 'most of them from one address, or one /64 of IPv6', {
    default: DEFAULT_CONNECTIONS.perSource,
  }),
  'connections-unknown': setting('<N>', CONNECTIONS, 'most of them without a request that is being served', {
    default: DEFAULT_CONNECTIONS.unknown,
  }),
  'tls-cert': setting('<FILE>', PATH, 'certificate of the agent, with those above it (PEM): it speaks TLS alone then'),
  'tls-key': setting('<FILE>', PATH, "its private key (PEM), readable for the agent's user alone"),
  'tls-client-ca': setting('<FILE>', PATH, 'who signs the certificates of clients (PEM)'),
  'tls-clients': setting('<WHICH>', oneOf(CLIENT_CERTIFICATES), 'whether clients must show a certificate', {
    defaultText: 'default: required with --tls-client-ca, else none',
  }),
  insecure: setting('', FLAG, 'serve other hosts in clear: whoever is on the way reads and changes everything', {
    default: false,
  }),
  engine: setting(
    '<NAME>',
    oneOf(ENGINE_CHOICES),
    'what makes the backup: auto takes a given --directory, else what is installed',
    { ...server, default: 'auto' },
  ),
  directory: setting(
    '<DIR>',
    PATH,
    'data directory of a stopped server, or a snapshot, for the engine "directory"',
    server,
  ),
  socket: setting('<FILE>', PATH, 'local socket of the server', server),
  'defaults-file': setting(
    '<FILE>',
    PATH,
    'option file for the backup program; may hold the login, then clients need none',
    server,
  ),
  datadir: setting(
    '<DIR>',
    PATH,
    'data directory of the running server, where the backup program cannot ask it',
    server,
  ),
  'host-login': setting(
    '<BOOL>',
    FLAG,
    "true: the login is that of --defaults-file, or without one of the agent's own user (unix_socket), whatever clients send",
    { ...server, default: false },
  ),
  'known-as': setting(
    '<LIST>',
    PATHS,
    'other sockets and option files by which clients mean this server, see "Several servers"',
    { ...server, default: [], isFileOnly: true },
  ),
  'tokens-file': setting('<FILE>', PATH, 'which tokens give which roles, as `backup-agent token` writes it', {
    default: DEFAULT_TOKENS_FILE,
  }),
  'spool-dir': setting('<DIR>', PATH, 'where parts wait whose size is not known yet (unlinked files)', {
    default: DEFAULT_SPOOL_DIRECTORY,
  }),
  'spool-bytes': setting('<N>', bytesForm(0), 'most bytes there', { default: DEFAULT_SPOOL_BYTES }),
  'memory-bytes': setting('<N>', bytesForm(MIN_MEMORY_BYTES), 'most bytes of them in memory', {
    default: DEFAULT_MEMORY_BYTES,
  }),
  'spill-bytes': setting('<N>', bytesForm(0), 'most bytes there that a slow client leaves behind', {
    default: DEFAULT_SPILL_BYTES,
  }),
  'state-dir': setting('<DIR>', PATH, 'where the history is kept', {
    defaultText: STATE_DIRECTORY_RULE,
    needsRestart: true,
  }),
  history: setting('', FLAG, 'remember nothing beyond the life of this agent', {
    default: true,
    isNegated: true,
    needsRestart: true,
  }),
  log: setting('<WHERE>', LOG_TARGET, `where the log goes: ${LOG_TARGET_FORM}`, {
    defaultText: 'default: stderr; under inetd syslog',
    needsRestart: true,
  }),
  'log-level': setting('<L>', oneOf(LOG_LEVELS), 'least severe lines to log', { default: 'info' }),
  'request-seconds': seconds('how long a client may take to send its request', DEFAULT_SECONDS.request),
  'start-seconds': seconds('how long the backup program may take to its first byte', DEFAULT_SECONDS.start),
  'lock-wait-seconds': seconds(
    'how long the backup program may wait for a lock of the server',
    DEFAULT_SECONDS.lockWait,
  ),
  'hang-seconds': seconds('how long the backup program may give no sign of life', DEFAULT_SECONDS.hang),
  'locked-seconds': seconds(
    'while the server is blocked: how long the backup program may do nothing, or a client take nothing',
    DEFAULT_SECONDS.locked,
  ),
  'stall-seconds': seconds('how long a client may take nothing while nothing is blocked', DEFAULT_SECONDS.stall),
  'network-seconds': seconds("how long the client's machine may answer nothing at all", DEFAULT_SECONDS.network),
  'receipt-seconds': seconds('how long a client may take to confirm a complete backup', DEFAULT_SECONDS.receipt),
  'drain-seconds': seconds(
    'after SIGTERM, how long a running backup may take before it is cancelled',
    DEFAULT_SECONDS.drain,
    0,
  ),
} as const satisfies Readonly<Record<string, Setting<unknown>>>

export type SettingKey = keyof typeof SETTINGS
export type SettingValue<Key extends SettingKey> = (typeof SETTINGS)[Key] extends Setting<infer Value> ? Value : never
/** What one source says; what it leaves open is not there. */
export type SettingValues = { readonly [Key in SettingKey]?: SettingValue<Key> }

export const SETTING_KEYS = Object.keys(SETTINGS) as readonly SettingKey[]

export const settingOf = (key: SettingKey): Setting<unknown> => SETTINGS[key]

/** What an instance has of its own. */
export const SERVER_KEYS = SETTING_KEYS.filter((key) => settingOf(key).scope === 'server')

/** Whether a client's backup is another server's depends on these alone: any of them says which server it is. */
export const SERVER_NAMING_KEYS = ['socket', 'defaults-file', 'directory', 'datadir'] as const satisfies SettingKey[]

/** The tables of the file, and what may stand in them. `*` is a name that the operator chooses. */
export const TABLES = {
  allow: {
    'binlog-directories': { form: PATHS, help: 'directories that a client may name in `mysql-binlog-path`' },
  },
  'instance.*': Object.fromEntries(SERVER_KEYS.map((key) => [key, settingOf(key)])),
  'options.*': {
    args: { form: ARGUMENTS, help: 'options for the backup program, each beginning with `--`' },
    match: { form: MATCH, help: 'what deployed clients send as `innobackupex-opts`, word for word, to mean this set' },
  },
  'role.*': ROLE_KEYS,
} as const satisfies Readonly<Record<string, Readonly<Record<string, Pick<Setting<unknown>, 'form' | 'help'>>>>>

/** What an operator may call an instance or a set of options. */
export const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/
export const NAME_RULE = '1 to 32 of a-z 0-9 _ -, the first a letter or digit'

const PREFIX = 'KV_BACKUP_AGENT_'

/** `KV_BACKUP_AGENT_SPOOL_DIR` */
export const environmentName = (key: string): string => `${PREFIX}${key.toUpperCase().replaceAll('-', '_')}`

/** Names the file itself. */
export const CONFIG_VARIABLE = environmentName('config')

export const isEnvironmentName = (name: string): boolean => name.startsWith(PREFIX)

/** `--spool-dir`, `--no-history` */
export const optionName = (key: SettingKey): string => `--${settingOf(key).isNegated === true ? 'no-' : ''}${key}`
