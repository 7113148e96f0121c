/** The bill of materials: by the rules of CycloneDX, of exactly what comes along, the same every time. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import { mustRun, runProgram } from '../rig/run-program.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

interface Component {
  readonly type: string
  readonly 'bom-ref': string
  readonly group?: string
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly scope?: string
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly licenses: readonly ({ readonly license: { readonly id: string } } | { readonly expression: string })[]
}

interface Bill {
  readonly bomFormat: string
  readonly specVersion: string
  readonly serialNumber: string
  readonly version: number
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

const written = async (): Promise<string> =>
  (await mustRun(process.execPath, [`${ROOT}bin/packaging/sbom.mjs`])).stdout.toString()
const bill = JSON.parse(await written()) as Bill

interface Locked {
  readonly version: string
  readonly integrity?: string
  readonly dependencies?: Record<string, string>
}

const lock = JSON.parse(readFileSync(`${ROOT}package-lock.json`, 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>
}

/** What Node finds from a place, and npm therefore installs: the nearest node_modules upwards. */
const closure = (from = '', found = new Set<string>()): Set<string> => {
  for (const name of Object.keys(lock.packages[from]?.dependencies ?? {})) {
    let at = from
    while (lock.packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] === undefined) {
      at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))
    }
    const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (found.has(place)) continue
    found.add(place)
    closure(place, found)
  }
  return found
}

const nameIn = (place: string): string => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
const fullName = ({ group, name }: Component): string => (group === undefined ? name : `${group}/${name}`)

describe('by the rules of CycloneDX 1.5', () => {
  /** Of the JSON schema, bom-1.5.schema.json: patterns, enumerations, what is required, what may be there at all. */
  test('its head', () => {
    expect(Object.keys(bill).sort()).toEqual(
      [
        '$schema',
        'bomFormat',
        'components',
        'dependencies',
        'metadata',
        'serialNumber',
        'specVersion',
        'version',
      ].sort(),
    )
    expect(bill).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 })
    expect(bill.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
    expect(bill.metadata.component).toMatchObject({ type: 'application', name: 'kv-backup-agent' })
  })

  test.each(bill.components.map((component) => [component.purl, component] as const))('%s', (purl, component) => {
    const allowed = ['type', 'bom-ref', 'group', 'name', 'version', 'purl', 'scope', 'author', 'hashes', 'licenses']
    expect(allowed).toEqual(expect.arrayContaining(Object.keys(component)))
    expect(component).toMatchObject({ type: 'library', scope: 'required', 'bom-ref': purl })
    expect(purl).toBe(`pkg:npm/${fullName(component).replace('@', '%40')}@${component.version}`)
    for (const { alg, content } of component.hashes ?? []) {
      expect(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']).toContain(alg)
      // The schema's own pattern for the content of a hash.
      expect(content).toMatch(/^([a-fA-F0-9]{32}|[a-fA-F0-9]{40}|[a-fA-F0-9]{64}|[a-fA-F0-9]{96}|[a-fA-F0-9]{128})$/)
    }
    expect(component.licenses).toHaveLength(1)
    expect(Object.keys(component.licenses[0] ?? {})).toHaveLength(1)
  })

  test('every reference is there, once', () => {
    const refs = [bill.metadata.component, ...bill.components].map((component) => component['bom-ref'])
    const named = bill.dependencies.map(({ ref }) => ref)

    expect(new Set(refs).size).toBe(refs.length)
    expect(named.toSorted()).toEqual(refs.toSorted())
    expect(refs).toEqual(expect.arrayContaining(bill.dependencies.flatMap(({ dependsOn }) => dependsOn)))
    for (const { dependsOn } of bill.dependencies) expect(new Set(dependsOn).size).toBe(dependsOn.length)
  })
})

test('lists exactly what comes along, in the locked versions and with their digests', () => {
  const expected = [...closure()].map((place) => {
    const { version, integrity = '' } = lock.packages[place] ?? { version: '' }
    return `${nameIn(place)}@${version} ${Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')}`
  })

  const listed = bill.components.map((one) => `${fullName(one)}@${one.version} ${one.hashes?.[0]?.content}`)

  expect(listed.toSorted()).toEqual([...new Set(expected)].toSorted())
})

/** Everything that a component needs, itself included. */
const reachable = (from: string): string[] => {
  const reached = new Set<string>()
  const follow = (ref: string): void => {
    if (reached.has(ref)) return
    reached.add(ref)
    for (const next of bill.dependencies.find((one) => one.ref === ref)?.dependsOn ?? []) follow(next)
  }
  follow(from)
  return [...reached]
}

test('reaches every component from the package itself', () => {
  const reached = reachable(bill.metadata.component['bom-ref'])

  expect(bill.components.map((one) => one['bom-ref']).filter((ref) => !reached.includes(ref))).toEqual([])
})

test('is the same every time, and the one that the build has put into the package', async () => {
  const again = await written()
  const byNpm = await mustRun('npm', ['run', '--silent', 'sbom'], { directory: ROOT })

  expect(byNpm.stdout.toString()).toBe(again)
  expect(readFileSync(`${ROOT}dist/sbom.cdx.json`, 'utf8')).toBe(again)
})

test('agrees with npm on the digest of each package that npm lists, where npm can', async () => {
  const npm = await runProgram('npm', ['sbom', '--sbom-format=cyclonedx', '--omit=dev'], { directory: ROOT })
  if (npm.exitCode !== 0) return // older than 10.2, as Debian's
  // It leaves out what our own tools need as well, and lists what nobody installs: so only what both have is compared.
  const theirs = new Map((JSON.parse(npm.stdout.toString()) as Bill).components.map((one) => [one.purl, one.hashes]))
  const both = bill.components.filter(({ purl }) => theirs.has(purl))

  expect(both.length).toBeGreaterThan(bill.components.length / 2)
  for (const { purl, hashes } of both) expect([purl, hashes]).toEqual([purl, theirs.get(purl)])
})
