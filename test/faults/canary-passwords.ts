/**
 * Passwords that go wrong in every place through which a password passes, and that are found again
 * wherever they were left: each holds a word that stands nowhere else.
 *
 * The wrong ones beside each are what somebody would make of it who does not quote, who cuts,
 * trims, unescapes or interprets: none of them may log in.
 */

export interface CanaryPassword {
  /** What is odd about it. */
  readonly odd: string
  readonly right: string
  readonly wrong: readonly string[]
}

/** The agent's own limit. Source: PROTOCOL.md, "Keys of a request". */
const MAX_BYTES = 1024

/** @param word letters and digits, unlike everything else in a run */
export const canaryPasswords = (word: string): readonly CanaryPassword[] => {
  const one = (odd: string, right: string, ...wrong: readonly string[]): CanaryPassword => ({
    odd,
    right,
    // One that is too long would be refused for that, before any server is asked.
    wrong: [Buffer.byteLength(right) < MAX_BYTES ? `${right}x` : `${right.slice(0, -1)}x`, ...wrong],
  })
  return [
    one('double quotes', `"${word}"d"q`, `${word}"d"q`, `\\"${word}\\"d\\"q`),
    one('single quotes', `'${word}'s''q`, `''${word}''s''''q`, `${word}'s''q`),
    one('blanks in front', `   ${word}-front`, `${word}-front`),
    one('blanks behind', `${word}-behind   `, `${word}-behind`),
    one('a hash', `${word}#comment`, word),
    one('a semicolon', `${word};comment`, word),
    one('a backslash at the end', `${word}-end\\`, `${word}-end`, `${word}-end\\\\`),
    one('backslash and n as two characters', `${word}\\n\\t\\s\\\\`, `${word}\\n\\t\\s\\`, `${word}nts\\`),
    one('a dollar and a backtick', `\${${word}}$HOME$(id)\`id\``, `${word}`),
    one('percent signs', `%${word}%s%n%00%2e`, `%${word}%s%n%00.`),
    one('equals signs', `=${word}=a=b=`, `${word}=a=b=`),
    one('a group of an option file', `[${word}]`, word),
    one('a directive of an option file', `!include /etc/${word}`, `/etc/${word}`),
    one('an option', `--${word}=/srv`, `${word}=/srv`),
    one('letters with accents', `${word}-pässwörd-ñ-ÿ`, `${word}-password-n-y`),
    one('Cyrillic letters', `${word}-пароль-ё`, `${word}-пароль-е`),
    one('emoji and signs of four bytes', `${word}-🔑🧰𝄞`, `${word}-????`),
    one('nothing that can be seen', invisible(word), '', ' '),
    one('HTML', `<b id="${word}">&amp;</b>`, `<b id="${word}">&</b>`),
    one('words of a shell', `'; ${word} || rm -rf / #`, `'; ${word} || rm -rf / `),
    one('a placeholder of ours', `{password}${word}{sid}`, `${word}{sid}`),
    one('the longest that is allowed', `${word}${'"\\'.repeat(MAX_BYTES)}`.slice(0, MAX_BYTES), word),
  ]
}

/** Zero-width signs, eight for each character: readable for nobody, and found again. */
const invisible = (word: string): string =>
  [...word]
    .slice(0, 12)
    .flatMap((character) => [...character.charCodeAt(0).toString(2).padStart(8, '0')])
    .map((bit) => (bit === '1' ? '\u200b' : '\u200c'))
    .join('')

/** Not to be had from any server over this protocol. */
export const UNCARRIED: readonly (readonly [name: string, password: (word: string) => string])[] = [
  ['NUL', (word) => `${word}\0tail`],
  ['CR', (word) => `${word}\rtail`],
  ['LF', (word) => `${word}\ntail`],
]
