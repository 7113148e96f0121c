/**
 * Writes the copyright file of the Debian package: our licence, and that of every npm package inside the programs.
 *
 *     Files: usr/lib/kv-backup-agent/dist/programs/*
 *     Copyright: Copyright (c) 2016-2019 Matteo Collina, …
 *     License: Apache-2.0 and MIT~pino and …
 *     Comment: contains pino 10.4.0 (MIT~pino), …
 *
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
Comment: The programs are JavaScript, compiled from TypeScript and bundled with the npm packages that they need, in
 the versions of package-lock.json with which they were tested.
`

const OURS = ['the authors of kv-backup-agent']

/**
 * @param {string} home where the programs are installed
 * @param {{ place: string, name: string, version: string, license: string, author: string }[]} inside of the programs
 * @param {{ place: string, name: string, version: string, license: string, author: string }[]} beside them
 */
export const debianCopyright = (root, home, inside, beside) => {
  const [bundled, others] = [inside, beside].map((packages) => packages.map((one) => describe(root, one)))
  const licences = ['Apache-2.0', ...bundled.map(({ licence }) => licence)]
  const contents = bundled.map(({ name, version, licence }) => `${name} ${version} (${licence})`)
  return [
    HEAD,
    stanza('*', OURS, 'Apache-2.0'),
    stanza(
      `${home}/dist/programs/*`,
      unique([...OURS, ...bundled.flatMap(({ holders }) => holders)]),
      unique(licences).join(' and '),
      `Comment: These npm packages are inside:\n ${contents.join(',\n ')}`,
    ),
    ...others.map(({ place, holders, licence }) => stanza(`${home}/${place}/*`, holders, licence)),
    ...[...bundled, ...others].flatMap(({ licence, body }) =>
      body === undefined ? [] : [`License: ${licence}\n${folded(body).join('\n')}\n`],
    ),
    ...Object.values(COMMON).map(
      ([name, file]) => `License: ${name}\n On Debian systems the text is in /usr/share/common-licenses/${file}.\n`,
    ),
  ].join('\n')
}

/** What is said of a package: under which name its licence stands here, its text, and who holds the rights. */
const describe = (root, { place, name, version, license, author }) => {
  const text = licenceText(join(root, place))
  const [licence, file] = COMMON[license] ?? [`${license}~${name.replace(/[@/]/g, '')}`, undefined]
  const body = file === undefined ? (text ?? `${license}, says the package; it brings no text of it.`) : undefined
  return { place, name, version, licence, body, holders: holdersOf(text) ?? [author] }
}

const unique = (items) => [...new Set(items)]

const stanza = (files, holders, licence, comment) =>
  [
    `Files: ${files}`,
    `Copyright: ${holders.join('\n           ')}`,
    `License: ${licence}`,
    ...(comment === undefined ? [] : [comment]),
    '',
  ].join('\n')

/** An empty line of a field is written as a dot. */
const folded = (text) =>
  text
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))

export const licenceText = (directory) => {
  const file = readdirSync(directory).find((name) => /^(licen[cs]e|copying)(\.(md|txt))?$/i.test(name))
  return file === undefined ? undefined : readFileSync(join(directory, file), 'utf8')
}

/** The lines of a licence's text that say who holds the rights. Placeholders of a form are no holders. */
const holdersOf = (text) => {
  const lines = (text ?? '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => /^copyright\b.*(\d{4}|\(c\)|©)/i.test(line) && !/[[{<]yyyy|notice/i.test(line))
  return lines.length === 0 ? undefined : unique(lines)
}
