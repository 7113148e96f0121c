/**
 * Takes what looks like a secret out of a finished line of JSON, whatever room it came from.
 *
 *     "… IDENTIFIED BY 'x' …"                     "… IDENTIFIED BY [redacted]"
 *     "… *0123456789ABCDEF0123456789ABCDEF01234567"   "… [redacted]"
 *
 * The third fence: who starts a program redacts its words, the logger drops fields by their
 * names. Here nothing is known of names; it is for words of a server or a program that found
 * another way in. A line stays JSON: what is taken ends before the quote that ends its text.
 *
 * Pure. Rule: SECURITY.md, "What is protected today".
 */

/** What mysql_native_password stores: a star and 40 hexadecimal digits. */
const PASSWORD_HASH = /\*[0-9A-F]{40}/gi

/** Secrets of any form may follow, so the rest of the text goes. */
const IDENTIFIED = /\b(IDENTIFIED(?:\s|\\[nrt])+(?:BY|VIA|WITH))\b(?:\\.|[^"\\])*/gi

const REDACTED = '[redacted]'

export const withoutSecrets = (line: string): string =>
  line.replace(PASSWORD_HASH, REDACTED).replace(IDENTIFIED, `$1 ${REDACTED}`)
