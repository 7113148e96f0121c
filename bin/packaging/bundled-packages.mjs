/**
 * Which npm packages are inside a bundle, and under which licences.
 *
 *     modules of the bundle ─▶ node_modules/pino/pino.js ─▶ pino 10.4.0, MIT
 *
 * Only what package-lock.json names as needed at run time may be inside, in exactly that version.
 *
 * One package stays outside: `mariadb` is under the LGPL, which wants that whoever has the programs can put another
 * version of it in its place. It is loaded from node_modules, when a server is asked.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { licenceText } from './debian-copyright.mjs'
import { productionPackages } from './production-packages.mjs'

/** Packages that are not put into the bundle. */
export const OUTSIDE = ['mariadb']

/**
 * @param {string} root of the checkout
 * @param {readonly string[]} modules absolute paths
 * @returns the packages, as `productionPackages` describes them
 */
export const bundledPackages = (root, modules) => {
  const places = new Set(modules.flatMap((id) => placeOf(root, id) ?? []))
  const known = productionPackages(root)
  const foreign = [...places].filter((place) => !known.some((one) => one.place === place))
  const copyleft = known.filter(({ place, license }) => places.has(place) && /GPL/.test(license))
  if (copyleft.length > 0)
    throw new Error(`under a licence that wants them replaceable: ${copyleft.map(({ name }) => name)}`)
  if (foreign.length > 0) throw new Error(`not among the packages of package-lock.json: ${foreign.join(', ')}`)
  return known.filter(({ place }) => places.has(place))
}

/**
 * The same for a bundle that was made before, by what its maps say.
 *
 * @param {string} directory of the bundle
 */
export const packagesInside = (root, directory) =>
  bundledPackages(
    root,
    readdirSync(directory, { recursive: true })
      .filter((name) => name.endsWith('.map'))
      .map((name) => join(directory, name))
      .flatMap((map) => JSON.parse(readFileSync(map, 'utf8')).sources.map((source) => resolve(dirname(map), source))),
  )

/** `/checkout/node_modules/@pinojs/redact/index.js` ─▶ `node_modules/@pinojs/redact` */
const placeOf = (root, id) => {
  if (!id.startsWith(join(root, 'node_modules/'))) return undefined
  return /^.*\/?node_modules\/(@[^/]+\/)?[^/]+/.exec(id.slice(root.length))?.[0]
}

const HEAD = `The programs in this directory contain these packages, unchanged but for comments and the way
they are loaded. Each is under its own licence.
`

/** The texts, as the packages bring them. */
export const licencesOf = (root, packages) =>
  [
    HEAD,
    ...packages.map(({ name, version, license, author, place }) => {
      const text =
        licenceText(join(root, place)) ?? `Copyright: ${author}. ${license}; the package brings no text of it.`
      return `${'='.repeat(80)}\n${name} ${version} (${license})\n${'='.repeat(80)}\n\n${text.trim()}\n`
    }),
  ].join('\n')
