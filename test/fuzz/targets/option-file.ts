/** The option file that hands a login to the backup program: whatever a client sends, it holds two options and no more. */

import { optionFileText } from '../../../lib/engines/option-file.ts'
import { type Target, whole } from '../target.ts'

export const OPTION_FILE: Target = {
  name: 'option-file',
  side: 'server',
  does: 'user and password written for the backup program, and read back as its library does',
  inputs: 60_000,
  quickInputs: 800,
  maxInputBytes: 3000,
  dictionary: [
    '"',
    '\\',
    '\\"',
    "'",
    '#',
    ';',
    ' ',
    '\\n',
    '[mysqld]',
    '!include /etc/shadow',
    'plugin-dir=/tmp',
    '\0',
    '\r',
    '\u2028',
    '\ud7ff',
  ],
  isPiecewise: false,
  feed: (chunks, trace) => {
    const [user = '', ...rest] = whole(chunks).toString().split('\n')
    const password = rest.join('\n')
    const text = optionFileText({ user, password }, '/etc/mysql/backup.cnf')
    trace.say(text)
    const group = [`user="${user}"`, undefined]
    const expected = ['!include /etc/mysql/backup.cnf', '[client]', ...group, '[xtrabackup]', ...group, '']
    const lines = text.split('\n')
    const isInForm =
      lines.length === expected.length && expected.every((line, at) => line === undefined || line === lines[at])
    if (!isInForm) throw new Error('the option file has other lines than it must have')
    for (const at of [3, 6]) {
      if (unquoted(lines[at] ?? '') !== password) throw new Error('the password is not what is read back')
    }
    return 'written'
  },
}

/** As MariaDB's `my_default.c` reads a value: to the last quote, and a backslash takes the next character as it is. */
const unquoted = (line: string): string | undefined => {
  const value = /^password="(.*)"$/su.exec(line)?.[1]
  if (value === undefined || /(?<!\\)(?:\\\\)*"/.test(value)) return undefined
  return value.replace(/\\(["\\])/g, '$1')
}
