/**
 * What an account may do to the whole server, read from SHOW GRANTS.
 *
 *     GRANT RELOAD, PROCESS ON *.* TO `backup`@`localhost` IDENTIFIED BY PASSWORD '*…'
 *     GRANT `operators` TO `backup`@`localhost`
 *
 * The lines hold a hash of the password: they are read here and never shown. Pure.
 */

export interface Grants {
  /** `'backup'@'localhost'`, as a statement names it. */
  readonly account: string
  /** Global privileges, in the words of MariaDB's own lists. */
  readonly privileges: ReadonlySet<string>
  /** Whether there may be more, by roles whose privileges are not in the lines. */
  readonly mayBeMore: boolean
}

/** The names that say the same; the server shows the one on the right. */
const SYNONYMS: Readonly<Record<string, string>> = {
  'REPLICA MONITOR': 'SLAVE MONITOR',
  'REPLICATION REPLICA ADMIN': 'REPLICATION SLAVE ADMIN',
  'REPLICATION REPLICA': 'REPLICATION SLAVE',
}

const GLOBAL = /^GRANT (.+?) ON \*\.\* TO /
/** MySQL shows that somebody has a role, and not what it gives; MariaDB shows both. */
const ROLE_OF_MYSQL = /^GRANT `[^`]*`@`[^`]*`/

/** @param currentUser the server's `CURRENT_USER()`, `backup@localhost` */
export const readGrants = (lines: readonly string[], currentUser: string): Grants => {
  const privileges = new Set<string>()
  for (const line of lines) {
    const names = GLOBAL.exec(line)?.[1]
    for (const name of names?.split(',') ?? []) privileges.add(canonical(name.trim().toUpperCase()))
  }
  return {
    account: accountOf(currentUser),
    privileges,
    mayBeMore: lines.some((line) => ROLE_OF_MYSQL.test(line)),
  }
}

const canonical = (name: string): string => SYNONYMS[name] ?? name

/** A user may hold an `@`, a host does not. */
const accountOf = (currentUser: string): string => {
  const at = currentUser.lastIndexOf('@')
  return [currentUser.slice(0, at), currentUser.slice(at + 1)].map(quote).join('@')
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
