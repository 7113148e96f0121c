/**
 * Lists the npm packages that the agent needs at run time, by what package-lock.json says.
 *
 *     package.json "dependencies" ─▶ lock entry ─▶ its "dependencies" ─▶ …
 *
 * Each is in node_modules in exactly the locked version, or this throws: what is packed is
 * what was tested. Optional and development packages are not followed. Packages of types
 * alone have nothing to run, and are left out unless they are asked for.
 *
 * Reads only; no network.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param {string} root of the checkout, with node_modules
 * @param {{ withTypes?: boolean, only?: readonly string[] }} options `withTypes`: packages of types alone too, as npm
 *   installs them; `only`: these of our own dependencies, with all that they need
 * @returns {{ place: string, name: string, version: string, license: string, author: string, programs: string[],
 *   integrity: string | undefined, needs: string[] }[]}
 *   sorted by `place`, which is relative to the root; `programs` are commands for people, which no code loads; `needs`
 *   are places
 */
export const productionPackages = (root, { withTypes = false, only } = {}) => {
  const { packages } = readJson(join(root, 'package-lock.json'))
  const found = new Map()
  const follow = (from, names = Object.keys(packages[from].dependencies ?? {})) => {
    for (const name of names) {
      const place = placeOf(packages, name, from)
      if (found.has(place)) continue
      const { version, integrity, dependencies = {} } = packages[place]
      const needs = Object.keys(dependencies).map((other) => placeOf(packages, other, place))
      found.set(place, { ...checked(root, place, name, version), integrity, needs })
      follow(place)
    }
  }
  follow('', only)
  return [...found.values()]
    .filter(({ place }) => withTypes || hasCode(join(root, place)))
    .sort((one, other) => (one.place < other.place ? -1 : 1))
}

/** As Node looks: in the nearest node_modules upwards. */
const placeOf = (packages, name, from) => {
  for (let at = from; ; at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))) {
    const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (packages[place] !== undefined) return place
    if (at === '') throw new Error(`package-lock.json has no ${name}, which ${from || 'package.json'} needs`)
  }
}

const checked = (root, place, name, locked) => {
  const manifest = readJson(join(root, place, 'package.json'))
  if (manifest.version !== locked) {
    throw new Error(`${place} is version ${manifest.version}, expected ${locked} of package-lock.json: run npm ci`)
  }
  const programs = Object.values(typeof manifest.bin === 'string' ? { [name]: manifest.bin } : (manifest.bin ?? {}))
  return { place, name, version: locked, license: licenseOf(manifest), author: authorOf(manifest), programs }
}

const licenseOf = ({ license, name }) => {
  if (typeof license === 'string') return license
  throw new Error(`${name} does not say its licence in package.json`)
}

const authorOf = ({ author, name }) => {
  const text = typeof author === 'string' ? author : author?.name
  return text ?? `the authors of ${name}`
}

const CODE = /\.(js|cjs|mjs|json)$/

const hasCode = (directory) =>
  readdirSync(directory, { recursive: true }).some((file) => CODE.test(file) && !/(^|\/)package\.json$/.test(file))

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))
