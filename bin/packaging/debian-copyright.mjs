/**
 * Writes the copyright file of the Debian package: our licence, and that of every npm package in it.
 *
 *     Files: usr/lib/kv-backup-agent/node_modules/pino/*
 *     Copyright: Copyright (c) 2016-2019 Matteo Collina, …
 *     License: MIT~pino
 *      the text that the package brings
 *
 * Texts that every Debian has in /usr/share/common-licenses are named, not repeated.
 * Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** SPDX name: how Debian calls it, and its file in /usr/share/common-licenses. */
const COMMON = {
  'Apache-2.0': ['Apache-2.0', 'Apache-2.0'],
  'LGPL-2.1-or-later': ['LGPL-2.1+', 'LGPL-2.1'],
}

const HEAD = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: kv-backup-agent
Comment: The programs are JavaScript, compiled from TypeScript. The npm packages that they need come along,
 in the versions of package-lock.json with which they were tested.
`

/** @param {{ place: string, name: string, license: string, author: string }[]} packages */
export const debianCopyright = (root, packages) => {
  const stanzas = packages.map((one) => {
    const text = licenseText(join(root, one.place))
    const [name, file] = COMMON[one.license] ?? [`${one.license}~${one.name.replace(/[@/]/g, '')}`, undefined]
    const body = file === undefined ? (text ?? `${one.license}, says the package; it brings no text of it.`) : undefined
    return stanza(`usr/lib/kv-backup-agent/${one.place}/*`, holders(text) ?? one.author, name, body)
  })
  const named = Object.values(COMMON).map(
    ([name, file]) => `License: ${name}\n On Debian systems the text is in /usr/share/common-licenses/${file}.\n`,
  )
  return [HEAD, stanza('*', 'the authors of kv-backup-agent', 'Apache-2.0'), ...stanzas, ...named].join('\n')
}

const stanza = (files, copyright, license, text) =>
  [
    `Files: ${files}`,
    `Copyright: ${copyright}`,
    `License: ${license}`,
    ...(text === undefined ? [] : folded(text)),
    '',
  ].join('\n')

/** An empty line of a field is written as a dot. */
const folded = (text) =>
  text
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))

const licenseText = (directory) => {
  const file = readdirSync(directory).find((name) => /^(licen[cs]e|copying)(\.(md|txt))?$/i.test(name))
  return file === undefined ? undefined : readFileSync(join(directory, file), 'utf8')
}

/** The lines of a licence's text that say who holds the rights. Placeholders of a form are no holders. */
const holders = (text) => {
  const lines = (text ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => /^copyright\b.*(\d{4}|\(c\)|©)/i.test(line) && !/[[{<]yyyy|notice/i.test(line))
  return lines.length === 0 ? undefined : [...new Set(lines)].join('\n           ')
}
