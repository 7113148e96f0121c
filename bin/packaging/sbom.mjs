/**
 * Writes down what comes along with us: a software bill of materials, CycloneDX 1.5 in JSON.
 *
 *     npm run sbom                          prints it: what npm installs with this package
 *     node bin/packaging/sbom.mjs FILE      writes it there; the build makes dist/sbom.cdx.json
 *
 * Made from package-lock.json and node_modules by ourselves, because `npm sbom` is younger than
 * Debian's npm, and counts packages that nobody installs. The digests are those of the
 * lockfile, so they can be held against any registry. No time and no random number in it: the
 * same sources give the same bytes. No network.
 *
 * Format: https://cyclonedx.org/docs/1.5/json/
 */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'

import { productionPackages } from './production-packages.mjs'

/** How CycloneDX calls the algorithms of a lockfile's `integrity`. */
const ALGORITHMS = { sha512: 'SHA-512', sha384: 'SHA-384', sha256: 'SHA-256', sha1: 'SHA-1' }

/**
 * @param {string} root of the checkout, with node_modules
 * @param {{ withTypes?: boolean }} options as `productionPackages`: the Debian package has no types in it
 * @returns {string} JSON, with a line end
 */
export const sbom = (root, options = { withTypes: true }) => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const packages = productionPackages(root, options)
  const known = new Map(packages.map((one) => [one.place, purlOf(one)]))
  const refsOf = (places) => [...new Set(places.flatMap((place) => known.get(place) ?? []))].sort()
  const own = purlOf(manifest)
  const direct = Object.keys(manifest.dependencies ?? {}).map((name) => `node_modules/${name}`)
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: { type: 'application', 'bom-ref': own, ...identity(manifest), licenses: licenses(manifest.license) },
    },
    components: uniqueByRef(packages.map(component)),
    dependencies: [
      { ref: own, dependsOn: refsOf(direct) },
      ...uniqueByRef(packages.map((one) => ({ ref: purlOf(one), dependsOn: refsOf(one.needs) }))),
    ],
  }
  return `${JSON.stringify({ ...bill, serialNumber: serialNumber(bill) }, null, 2)}\n`
}

const component = (one) => ({
  type: 'library',
  'bom-ref': purlOf(one),
  ...identity(one),
  scope: 'required',
  ...(one.author.startsWith('the authors of') ? {} : { author: one.author }),
  ...(one.integrity === undefined ? {} : { hashes: one.integrity.split(' ').map(hash) }),
  licenses: licenses(one.license),
})

/** `@types/node` is the package `node` of the group `@types`. */
const identity = ({ name, version }) => {
  const [, group, short] = /^(?:(@[^/]+)\/)?(.*)$/.exec(name)
  return { ...(group === undefined ? {} : { group }), name: short, version, purl: purlOf({ name, version }) }
}

/** Format: https://github.com/package-url/purl-spec, "npm". */
const purlOf = ({ name, version }) => `pkg:npm/${name.replace('@', '%40')}@${version}`

/** `sha512-BASE64`. Format: https://www.w3.org/TR/SRI/ */
const hash = (integrity) => {
  const [, algorithm, digest] = /^(\w+)-(.*)$/.exec(integrity) ?? []
  const alg = ALGORITHMS[algorithm]
  if (alg === undefined) throw new Error(`package-lock.json has an integrity of an unknown kind: ${integrity}`)
  return { alg, content: Buffer.from(digest, 'base64').toString('hex') }
}

/** A name of the SPDX list, or an expression of such names. */
const licenses = (license) => [/^[\w.+-]+$/.test(license) ? { license: { id: license } } : { expression: license }]

/** One package may lie in several places in one version. */
const uniqueByRef = (entries) => [...new Map(entries.map((entry) => [entry['bom-ref'] ?? entry.ref, entry])).values()]

/** A UUID made of what is in the bill (version 8, RFC 9562): another bill has another one, the same one the same. */
const serialNumber = (bill) => {
  const digest = createHash('sha256').update(JSON.stringify(bill)).digest('hex')
  const parts = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`, `8${digest.slice(17, 20)}`]
  return `urn:uuid:${[...parts, digest.slice(20, 32)].join('-')}`
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const text = sbom(fileURLToPath(new URL('../../', import.meta.url)))
  const [, , file] = argv
  if (file === undefined) process.stdout.write(text)
  else {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}
