/**
 * Takes secrets out of a program's words before anyone keeps or shows them.
 *
 * mariadb-backup prints `SHOW GRANTS` when a privilege is missing, and MariaDB's
 * `SHOW GRANTS` holds the hash of the password. The password itself is never printed by
 * the programs we know; it is looked for all the same, in the forms it was handed over in.
 *
 * Lines come in whole up to 8 KiB and leave with at most 2 KiB. Cutting happens last, so
 * a secret (at most 1 KiB) that begins in the part that is kept was seen in full.
 *
 * Pure. Rule: SECURITY.md, "What is protected today".
 */

/** Longest line that is shown, in characters. */
export const MAX_SHOWN_LENGTH = 2048

export const REDACTED = '[redacted]'

/** What mysql_native_password stores: a star and 40 hexadecimal digits. */
const PASSWORD_HASH = /\*[0-9A-F]{40}/gi

/** `IDENTIFIED BY 'x'`, `IDENTIFIED VIA ed25519 USING 'x' OR …`: secrets of any form may follow, so the rest goes. */
const IDENTIFIED = /\b(IDENTIFIED\s+(?:BY|VIA|WITH))\b.*/gis

/** C0, DEL and C1: a terminal or a log would obey them. A tab is harmless. */
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g

/** Shorter than this a password is no secret, and replacing it everywhere would spell it out. */
const SHORTEST_SECRET = 4

/** @returns a function that gives a line back as it may be kept and shown */
export const redactor = (password: string | undefined): ((line: string) => string) => {
  const forms = password === undefined || password.length < SHORTEST_SECRET ? [] : secretForms(password)
  return (line) => {
    let shown = line.replace(PASSWORD_HASH, REDACTED).replace(IDENTIFIED, `$1 ${REDACTED}`)
    for (const form of forms) shown = shown.replaceAll(form, REDACTED)
    shown = shown.replace(CONTROL, '?')
    return shown.length > MAX_SHOWN_LENGTH ? `${shown.slice(0, MAX_SHOWN_LENGTH)}…` : shown
  }
}

const secretForms = (password: string): string[] => {
  const bytes = Buffer.from(password)
  const percent = encodeURIComponent(bytes.toString())
  const forms = [
    password,
    password.replace(/["'\\]/g, '\\$&'), // an option file, and SQL
    password.replace(/[\\"]/g, '\\$&'), // an option file as we write it
    password.replaceAll("'", "''"), // SQL
    password.replaceAll('\\', '\\\\').replaceAll("'", "''"), // SQL
    JSON.stringify(password).slice(1, -1),
    bytes.toString('base64'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    percent,
    percent.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`),
    percent.replaceAll('%20', '+'),
  ]
  // The longest first: a form that holds another one must go as a whole.
  return [...new Set(forms)].sort((a, b) => b.length - a.length)
}
