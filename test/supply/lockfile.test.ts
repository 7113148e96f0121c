/** What npm installs with us: which packages, from where, by which digest, and that none of them runs anything then. */

import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const lock = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as {
  readonly lockfileVersion: number
  readonly packages: Readonly<Record<string, Locked>>
}
const all = Object.entries(lock.packages).filter(([place]) => place !== '')
/** Also what is there for a package that only our tools ask for: npm may install it with us. */
const runtime = all.filter(([, { dev = false }]) => !dev)

const namesOf = (entries: readonly (readonly [string, Locked])[]): string[] => entries.map(([place]) => place)

test('the lockfile was looked at', () => {
  expect(lock.lockfileVersion).toBe(3)
  expect(runtime.length).toBeGreaterThan(40)
})

test('nothing that comes along runs a script when it is installed', () => {
  expect(namesOf(runtime.filter(([, { hasInstallScript }]) => hasInstallScript === true))).toEqual([])
})

test('everything that comes along has a digest, of the strongest kind', () => {
  expect(namesOf(runtime.filter(([, { integrity = '' }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity)))).toEqual(
    [],
  )
})

test('of our tools, only what is made for another machine has none: it was never downloaded where this was written', () => {
  const without = all.filter(([, { integrity }]) => integrity === undefined)

  const here = without.filter(
    ([, { dev, optional, os = [], cpu = [], libc = [] }]) =>
      !(dev && optional) || (os.includes('linux') && cpu.includes('x64') && !libc.includes('musl')),
  )

  expect(namesOf(here)).toEqual([])
})

test('everything comes from one registry: no repository, address, file or link', () => {
  const elsewhere = all.filter(([, { resolved, link, version = '' }]) => {
    const isExact = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/.test(version)
    return resolved !== undefined || link === true || !isExact
  })
  const asked = Object.entries(lock.packages).flatMap(
    ([place, { dependencies, devDependencies, optionalDependencies }]) =>
      Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
        .filter(([, wanted]) => /[/:]|^git|^file/.test(wanted) && !wanted.startsWith('npm:'))
        .map(([name, wanted]) => `${place} wants ${name} ${wanted}`),
  )

  expect(namesOf(elsewhere)).toEqual([])
  expect(asked).toEqual([])
})

test('a package keeps its name: none stands in for another', () => {
  const aliased = runtime.flatMap(([, { dependencies = {} }]) =>
    Object.entries(dependencies).filter(([, wanted]) => wanted.startsWith('npm:')),
  )

  expect(aliased).toEqual([])
})
