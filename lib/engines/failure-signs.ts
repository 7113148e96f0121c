/**
 * Notes the lines that tell why a backup program fails.
 *
 * What is noted is small and bounded, whatever the program writes. The patterns are
 * those of both families: they share the code that talks to the server. Pure.
 *
 * Source: mariadb-backup 10.11.19, run into each failure (fixtures/engines); xtrabackup 8 from its documents.
 */

export interface FailureSigns {
  /** Why the server did not let it in, in the server's words. */
  login: string | undefined
  /** The server was not reached at all. */
  unreachable: string | undefined
  /** Missing privileges, as a GRANT names them. */
  readonly privileges: Set<string>
  /** The account that lacks them, as the server writes it: `` `backup`@`localhost` ``. */
  account: string | undefined
  redoOverrun: string | undefined
  redoRange: RedoRange | undefined
  /** No lock within the time allowed, as when another backup runs. */
  lockTimeout: string | undefined
  /** The last lines that sound like an error, redacted. */
  readonly errors: string[]
}

/** Log sequence numbers, as decimal text: they pass 2^53. */
export interface RedoRange {
  /** The redo log was copied from here … */
  readonly copiedFrom: string
  /** … to here, where the next bytes were overwritten already … */
  readonly copiedTo: string
  /** … and was needed to here. */
  readonly wanted: string
}

const MAX_ERRORS = 8
const MAX_PRIVILEGES = 16

const CONNECT_FAILED = /Failed to connect to (?:MariaDB|MySQL) server[^:]*: (.*)/
const REFUSED_LOGIN =
  /Access denied|is not allowed to connect|account is locked|password has expired|must reset your password|authentication (?:plugin|requires|failed)/i
const MISSING_PRIVILEGE = /missing required privilege ([A-Z][A-Z_ ]*?) on /
const ONE_OF_PRIVILEGES = /you need \(at least one of\) the ([A-Z][A-Z_, ]*?) privilege\(s\)/
const COMMAND_DENIED = /\b([A-Z][A-Z ]*?) command denied to user/
const GRANT_TO = /^\s*\d*\.?GRANT .* TO ([`'][^`']{1,128}[`']@[`'][^`']{0,255}[`'])/
const REDO_OVERRUN =
  /Was only able to copy log from|log has wrapped around|log block numbers mismatch|redo log .* overwritten/i
const REDO_RANGE = /Was only able to copy log from (\d{1,20}) to (\d{1,20}), not (\d{1,20})/
const LOCK_TIMEOUT = /Unable to obtain lock|Lock wait timeout exceeded/
const SOUNDS_LIKE_ERROR =
  /\berror\b|\bfail|\bfatal\b|\bcannot\b|can't|\bdenied\b|\bunable\b|\bunknown\b|\binvalid\b|\bonly able\b|\bmissing\b|\bgot signal\b|lost connection|gone away/i

export const noSigns = (): FailureSigns => ({
  login: undefined,
  unreachable: undefined,
  privileges: new Set(),
  account: undefined,
  redoOverrun: undefined,
  redoRange: undefined,
  lockTimeout: undefined,
  errors: [],
})

/**
 * @param text the line as it came, without its stamp: only looked at
 * @param redact gives what may be kept of it
 */
export const noteFailureSigns = (signs: FailureSigns, text: string, redact: (text: string) => string): void => {
  const account = GRANT_TO.exec(text)?.[1]
  if (account !== undefined) {
    signs.account ??= redact(account) // somebody's name may be their password
    return // a list of grants is no error, and names privileges that are there
  }
  const isOverrun = REDO_OVERRUN.test(text)
  if (!isOverrun && !SOUNDS_LIKE_ERROR.test(text)) return
  const shown = redact(text)
  signs.errors.push(shown)
  if (signs.errors.length > MAX_ERRORS) signs.errors.shift()

  const connect = CONNECT_FAILED.exec(shown)?.[1]
  if (connect !== undefined) {
    if (REFUSED_LOGIN.test(connect)) signs.login ??= connect
    else signs.unreachable ??= connect
  }
  if (isOverrun) {
    signs.redoOverrun ??= shown
    signs.redoRange ??= rangeOf(text)
  }
  if (LOCK_TIMEOUT.test(text)) signs.lockTimeout ??= shown
  const privilege =
    MISSING_PRIVILEGE.exec(text)?.[1] ?? leastOf(ONE_OF_PRIVILEGES.exec(text)?.[1]) ?? COMMAND_DENIED.exec(text)?.[1]
  if (privilege !== undefined && signs.privileges.size < MAX_PRIVILEGES) signs.privileges.add(privilege)
}

const rangeOf = (text: string): RedoRange | undefined => {
  const [, copiedFrom, copiedTo, wanted] = REDO_RANGE.exec(text) ?? []
  if (copiedFrom === undefined || copiedTo === undefined || wanted === undefined) return undefined
  return { copiedFrom, copiedTo, wanted }
}

/** Of `SUPER, BINLOG MONITOR` the one that gives away less: whatever is not SUPER. */
const leastOf = (privileges: string | undefined): string | undefined => {
  const names = privileges?.split(/, */) ?? []
  return names.find((name) => name !== 'SUPER') ?? names[0]
}
