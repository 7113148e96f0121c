/**
 * Sets of options for the backup program, which the operator writes and a client may pick.
 *
 *     [options.replica]
 *     args = ["--slave-info", "--safe-slave-backup"]
 *     match = "--slave-info --parallel=4"       what a deployed client sends to mean this one
 *
 * What the agent itself decides (the login, the server, the stream, what is written where) is no
 * option of a set. The programs take `_` for `-`, a few words in front of a name, and every
 * beginning of a name that is plain enough (my_getopt.c): all of these spellings are refused.
 */

import type { Form, Reading } from './value-forms.ts'

export interface OptionSet {
  readonly args: readonly string[]
  /** The value of `innobackupex-opts` that selects it, beside its name. */
  readonly match?: string | undefined
}

const MAX_ARGS = 64
const MAX_ARG_BYTES = 1024
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
/** What a name may begin with and still mean the option behind it. Source: my_getopt.c, `special_opt_prefix`. */
const PREFIXES = /^(?:(?:loose|skip|disable|enable|maximum|autoset)-)+/

/** Whole names, and with a star at their end families of them. */
const OWNED: readonly string[] = [
  // what is done, and where the result goes
  ...[
    'backup',
    'prepare',
    'apply-log*',
    'copy-back',
    'move-back',
    'export',
    'stats',
    'stream',
    'target-dir',
    'parallel',
  ],
  ...['compress*', 'decompress', 'encrypt*', 'decrypt*', 'xbstream*', 'incremental*', 'rsync', 'force-non-empty*'],
  ...['to-archived-lsn', 'mbstream', 'mysqld-args', 'innobackupex', 'remove-original', 'tmpdir', 'log-copy-interval'],
  // which server, and who logs in
  ...['defaults*', 'no-defaults', 'login-path', 'user', 'password*', 'host', 'port', 'protocol', 'socket', 'datadir'],
  ...['startup-wait-timeout', 'plugin*', 'server-public-key-path', 'get-server-public-key'],
  // would end the program at once
  ...['help', 'version', 'print-*', 'check-privileges-only'],
]

/**
 * Options that need a value, and take the next argument for it when they have none of their own: that would be one of the
 * agent's. Source: `mariadb-backup --help` 10.11, `xtrabackup --help` 8.0; those of above are refused anyway.
 */
const NEED_A_VALUE: readonly string[] = [
  ...['databases', 'databases-exclude', 'databases-file', 'tables', 'tables-exclude', 'tables-file'],
  ...['throttle', 'use-memory', 'extra-lsndir', 'ftwrl-wait-timeout', 'ftwrl-wait-threshold', 'ftwrl-wait-query-type'],
  ...['kill-long-queries-timeout', 'kill-long-query-type', 'safe-slave-backup-timeout', 'open-files-limit'],
  ...['ssl-ca', 'ssl-capath', 'ssl-cert', 'ssl-cipher', 'ssl-key', 'ssl-crl', 'ssl-crlpath', 'ssl-mode', 'tls-version'],
  ...['aria-log-dir-path', 'rocksdb-datadir', 'innodb-autoextend-increment', 'innodb-data-file-path'],
  ...['innodb-data-home-dir', 'innodb-file-io-threads', 'innodb-read-io-threads', 'innodb-write-io-threads'],
  ...['innodb-flush-method', 'innodb-log-buffer-size', 'innodb-log-file-size', 'innodb-log-group-home-dir'],
  ...['innodb-log-write-ahead-size', 'innodb-max-dirty-pages-pct', 'innodb-linux-aio', 'innodb-page-size'],
  ...['innodb-buffer-pool-filename', 'innodb-checksum-algorithm', 'innodb-undo-directory', 'innodb-undo-tablespaces'],
  ...['innodb-compression-level', 'lock-ddl-timeout', 'backup-lock-timeout', 'backup-lock-retry-count', 'keyring*'],
]
/** Whole names that need none, and are the beginning of one that does. */
const NEED_NONE: readonly string[] = ['ssl', 'innodb', 'log', 'history', 'lock-ddl', 'safe-slave-backup']

/** What is wrong with one of the arguments, if anything is. */
export const argumentProblem = (argument: unknown): string | undefined => {
  if (typeof argument !== 'string' || !/^--[A-Za-z0-9]/.test(argument)) return 'expected options that begin with --'
  if (CONTROL.test(argument) || Buffer.byteLength(argument) > MAX_ARG_BYTES) {
    return `expected options of at most ${MAX_ARG_BYTES} bytes and without control characters`
  }
  const name = argument.slice(2).split('=', 1)[0] ?? ''
  const plain = name.toLowerCase().replaceAll('_', '-').replace(PREFIXES, '')
  const owned = OWNED.find((one) => isSpellingOf(plain, one))
  if (owned !== undefined) return `--${name} is not for a set: the agent itself decides --${owned}`
  if (argument.includes('=') || NEED_NONE.includes(plain)) return undefined
  const needy = NEED_A_VALUE.find((one) => isSpellingOf(plain, one))
  return needy === undefined
    ? undefined
    : `--${name} has no value, and would take the next option for it: write --${needy}=…`
}

const isSpellingOf = (name: string, owned: string): boolean =>
  owned.endsWith('*')
    ? name.startsWith(owned.slice(0, -1)) || owned.slice(0, -1).startsWith(name)
    : owned.startsWith(name)

export const ARGUMENTS: Form<readonly string[]> = {
  fromText: () => ({ problem: 'expected in the file only' }),
  fromFile: (value): Reading<readonly string[]> => {
    if (!Array.isArray(value) || value.length > MAX_ARGS) {
      return { problem: `expected a list of at most ${MAX_ARGS} options, as in ["--slave-info"]` }
    }
    const problem = value.map(argumentProblem).find((found) => found !== undefined)
    return problem === undefined ? { value: value as readonly string[] } : { problem }
  },
  show: (args) => args.join(' '),
}

export const MATCH: Form<string> = {
  fromText: () => ({ problem: 'expected in the file only' }),
  fromFile: (value) =>
    typeof value === 'string' && value !== '' && !CONTROL.test(value)
      ? { value }
      : { problem: 'expected what the clients send, between quotes' },
  show: (text) => text,
}
