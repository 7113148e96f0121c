/**
 * `backup-agent token`: makes tokens for clients, lists them, and takes them back.
 *
 *     $ backup-agent token add backup1 --role nightly > backup1.token
 *     backup1: role nightly, until 2027-03-01T02:00:00Z, in /etc/kv-backup-agent/tokens
 *     this is the only time that the token is shown
 *
 * The token goes to standard output, alone, once; what is kept is its hash. An agent that runs takes
 * a change over with its next request.
 */

import { randomBytes } from 'node:crypto'
import { Command, InvalidArgumentError, Option } from 'commander'

import { type Configuration, DEFAULT_TOKENS_FILE, SETTING_KEYS, suggestion } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { spellToken, TOKEN_BYTES } from '../protocol/index.ts'
import {
  addToken,
  checkNewName,
  hashOf,
  isExpired,
  isTokenName,
  readTokens,
  revokeToken,
  TOKEN_NAME_RULE,
  type TokenEntry,
} from '../tokens/index.ts'
import { print, printToReader } from './print.ts'
import { columns, runReported } from './report.ts'
import { addSettingOptions, configurationOf } from './setting-options.ts'

export const tokenCommand = (): Command =>
  new Command('token')
    .description('make, list and revoke tokens, by which clients show that they may ask')
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand())
    .addHelpText('after', EXAMPLES)

const EXAMPLES = `
Examples:
  backup-agent token add backup1 --role nightly > backup1.token
  backup-agent token revoke backup1
      at once; a backup that runs goes on`

/** Of all settings only the place of the file means something here; the roles stand in the configuration. */
const withTokensFile = (command: Command): Command =>
  addSettingOptions(
    command,
    SETTING_KEYS.filter((key) => key !== 'tokens-file'),
  )

interface AddOptions {
  readonly role: string
  readonly expires?: (nowMs: number) => number
  readonly neverExpires?: true
}

const DAY_MS = 24 * 3_600_000
const DEFAULT_DAYS = 365

const addCommand = (): Command =>
  withTokensFile(
    new Command('add')
      .description('make a token and print it, once')
      .argument('<NAME>', `what it is called in logs and history: ${TOKEN_NAME_RULE}`)
      .requiredOption('--role <ROLE>', 'a [role.ROLE] of the configuration')
      .addOption(
        new Option(
          '--expires <WHEN>',
          `after so many days (90d), or on a date (2027-03-01, UTC) (default: ${DEFAULT_DAYS}d)`,
        )
          .argParser(parseExpiry)
          .conflicts('neverExpires'),
      )
      .option('--never-expires', 'valid until it is revoked'),
  ).action(async (name: string, options: AddOptions, command: Command) => {
    if (!isTokenName(name)) throw usage(`expected a name of ${TOKEN_NAME_RULE}`)
    const configuration = await configurationOf(command)
    await checkRole(options.role, configuration)
    const createdMs = wholeSeconds(Date.now())
    const expiresMs = expiryOf(options, createdMs)
    const token = spellToken(randomBytes(TOKEN_BYTES))
    const path = tokensFileOf(configuration)
    const entry = { name, hash: hashOf(token), role: options.role, createdMs, expiresMs, revokedMs: undefined }
    await checkNewName(path, name)
    // First: what nobody got must not be worth anything, and nobody else waits meanwhile.
    await printToReader(process.stdout, `${token}\n`)
    await addToken(path, entry).catch((error: unknown) => {
      if (!(error instanceof BackupError) || error.facts['isChanged'] === true) throw error
      const { code, message, facts, hint } = error
      throw new BackupError(code, `the token that was printed is worth nothing: ${message}`, facts, {
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      })
    })
    const until = expiresMs === undefined ? 'until it is revoked' : `until ${label(expiresMs)}`
    await print(
      process.stderr,
      `${name}: role ${options.role}, ${until}, in ${path}\nthis is the only time that the token is shown\n`,
    )
  })

const listCommand = (): Command =>
  withTokensFile(
    new Command('list').description('list the tokens, without the secrets').option('--json', 'print them as JSON'),
  ).action(({ json = false }: { json?: boolean }, command: Command) =>
    runReported({
      json,
      stream: process.stdout,
      work: async () => (await readTokens(tokensFileOf(await configurationOf(command))))?.entries ?? [],
      asJson: (entries) => ({ status: 'OK', tokens: entries.map((entry) => shown(entry, Date.now())) }),
      forPeople: (entries) => {
        const rows = entries.map((entry) => Object.values(shown(entry, Date.now())))
        return rows.length === 0 ? 'there are no tokens\n' : columns(HEADINGS, rows)
      },
    }),
  )

const HEADINGS = ['NAME', 'ROLE', 'STATE', 'CREATED', 'EXPIRES', 'REVOKED']

const shown = (entry: TokenEntry, nowMs: number) => {
  const { name, role, createdMs, expiresMs, revokedMs } = entry
  const state = revokedMs !== undefined ? 'revoked' : isExpired(entry, nowMs) ? 'expired' : 'valid'
  const [expires, revoked] = [expiresMs, revokedMs].map((ms) => (ms === undefined ? 'never' : label(ms)))
  return { name, role, state, created: label(createdMs), expires: expires ?? '', revoked: revoked ?? '' }
}

const revokeCommand = (): Command =>
  withTokensFile(
    new Command('revoke').description('make a token worth nothing').argument('<NAME>', 'as list shows it'),
  ).action(async (name: string, _options: object, command: Command) => {
    const path = tokensFileOf(await configurationOf(command))
    const isNew = await revokeToken(path, name, Date.now())
    await print(process.stderr, `${name} ${isNew ? 'is revoked' : 'was revoked before'}\n`)
  })

const tokensFileOf = ({ settings }: Configuration): string => settings['tokens-file'].value ?? DEFAULT_TOKENS_FILE

const checkRole = async (role: string, { roles }: Configuration): Promise<void> => {
  const known = Object.keys(roles)
  if (known.includes(role)) return
  const there = known.length === 0 ? 'there is none' : `there is ${known.join(', ')}`
  throw new BackupError(
    'CLI_USAGE',
    `there is no role ${JSON.stringify(role.slice(0, 40))} in the configuration (${there})${await suggestion(role, known)}`,
    {},
    { hint: 'write it down first: [role.NAME], with what it allows; backup-agent config shows all of them' },
  )
}

const expiryOf = ({ expires, neverExpires }: AddOptions, nowMs: number): number | undefined => {
  if (neverExpires === true) return undefined
  const expiresMs = expires === undefined ? nowMs + DEFAULT_DAYS * DAY_MS : expires(nowMs)
  if (expiresMs <= nowMs) throw usage(`expected a time to come, found ${label(expiresMs)}`)
  return expiresMs
}

/** A number of days counts from the moment at which the token is made. */
const parseExpiry = (text: string): ((nowMs: number) => number) => {
  const days = /^([1-9]\d{0,4})d$/.exec(text)?.[1]
  if (days !== undefined) return (nowMs) => nowMs + Number(days) * DAY_MS
  const dateMs = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(dateMs) || label(dateMs).slice(0, 10) !== text) {
    throw new InvalidArgumentError('Expected a number of days, as in 90d, or a date, as in 2027-03-01.')
  }
  return () => dateMs
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000

const label = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')

const usage = (message: string): BackupError => new BackupError('CLI_USAGE', message)
