import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from '@jest/globals'

import { mustRun } from './rig/run-program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

interface Manifest {
  readonly name: string
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly scripts?: Readonly<Record<string, string>>
}

const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest

const manifest = readManifest(ROOT)

/** Where Node would find a package from a directory: in the nearest node_modules upwards. */
const findPackage = (name: string, from: string): string => {
  const place = join(from, 'node_modules', name)
  if (existsSync(join(place, 'package.json'))) return place
  if (from === ROOT || !from.startsWith(ROOT)) throw new Error(`${name} is not installed`)
  return findPackage(name, join(from, '..'))
}

/** Directories of everything that comes along when somebody installs this package. */
const productionPackages = (from: string = ROOT, found = new Set<string>()): Set<string> => {
  for (const name of Object.keys(readManifest(from).dependencies ?? {})) {
    const directory = findPackage(name, from)
    if (found.has(directory)) continue
    found.add(directory)
    productionPackages(directory, found)
  }
  return found
}

describe('the package that is published', () => {
  let packed: string[]

  beforeAll(async () => {
    const run = await mustRun('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { directory: ROOT })
    const [report] = JSON.parse(run.stdout.toString()) as { files: { path: string }[] }[]
    packed = (report?.files ?? []).map(({ path }) => path)
  })

  test('holds the library, the programs, the files for a host, the papers and the bill of materials, and nothing else', () => {
    const others = packed.filter((path) => !/^dist\/(lib|programs)\//.test(path))

    expect(others.toSorted()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'PROTOCOL.md',
      'README.md',
      'SECURITY.md',
      'bin/packaging/host/agent.toml',
      'bin/packaging/host/kv-backup-agent.service',
      'bin/packaging/host/kv-backup-agent.socket',
      'bin/packaging/host/logrotate.conf',
      'bin/packaging/host/tmpfiles.conf',
      'bin/packaging/host/xinetd.conf',
      'dist/sbom.cdx.json',
      'package.json',
    ])
  })

  test('holds only what was built from lib as it is now', () => {
    const unknown = packed.filter((path) => {
      const source = /^dist\/(.*?)\.(js|js\.map|d\.ts)$/.exec(path)?.[1]
      if (source?.endsWith('.wat')) return !existsSync(join(ROOT, source)) // WebAssembly text, assembled
      return path.startsWith('dist/lib/') && (source === undefined || !existsSync(join(ROOT, `${source}.ts`)))
    })

    expect(packed).toEqual(
      expect.arrayContaining(['dist/lib/index.js', 'dist/lib/index.d.ts', 'dist/lib/encodings/kernels.wat.js']),
    )
    expect(unknown).toEqual([])
  })

  test('is the same bytes every time', async () => {
    const pack = async (name: string): Promise<Buffer> => {
      const directory = mkdtempSync(join(tmpdir(), 'pack-'))
      const [report] = JSON.parse(
        (
          await mustRun('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
            directory: ROOT,
          })
        ).stdout.toString(),
      ) as { filename: string }[]
      const bytes = readFileSync(join(directory, report?.filename ?? name))
      rmSync(directory, { recursive: true })
      return bytes
    }

    const first = await pack('first')
    // Built on another day.
    const file = join(ROOT, 'dist/lib/index.js')
    const { atime, mtime } = statSync(file)
    utimesSync(file, atime, new Date(86_400_000))
    const second = await pack('second').finally(() => utimesSync(file, atime, mtime))

    expect(second.equals(first)).toBe(true)
  })

  test('holds no source, no test and no file of a developer', () => {
    const odd = packed.filter((path) => /\.ts$/.test(path) && !path.endsWith('.d.ts'))
    const developers = packed.filter((path) => /(^|\/)(test|fixtures|node_modules|coverage|\.[^/]+)(\/|$)/.test(path))

    expect([...odd, ...developers]).toEqual([])
  })

  test('holds the programs, their parts and maps, and no part of an earlier build', () => {
    const programs = packed.filter((path) => path.startsWith('dist/programs/'))
    const loaded = new Set([...Object.values(manifest.bin), 'dist/programs/code-cache.cjs'])
    for (const path of loaded) {
      const text = readFileSync(join(ROOT, path), 'utf8')
      for (const [, name = ''] of text.matchAll(/\brequire\("(\.{1,2}\/[^"]+)"\)/g)) loaded.add(join(path, '..', name))
    }

    expect(loaded.size).toBeGreaterThan(4)
    expect(programs.filter((path) => path.endsWith('.cjs')).toSorted()).toEqual([...loaded].toSorted())
    expect(programs.filter((path) => !path.endsWith('.cjs') && !loaded.has(path.replace(/\.map$/, '')))).toEqual([
      'dist/programs/LICENSES.txt',
    ])
  })

  test('brings its programs, which run where they lie', async () => {
    for (const path of Object.values(manifest.bin)) {
      expect(packed).toContain(path)
      const run = await mustRun(join(ROOT, path), ['--version']) // no `node` before it
      expect(run.stdout.toString().trim()).toBe(manifest.version)
    }
  })

  test('runs nothing on the machine where it is installed', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'prepack', 'postpack'] as const

    expect(hooks.filter((hook) => manifest.scripts?.[hook] !== undefined)).toEqual([])
  })
})

describe('a package that comes along', () => {
  /** npm runs these when it installs a package from the registry; `prepare` it runs for others' checkouts only. */
  const HOOKS = ['preinstall', 'install', 'postinstall'] as const

  test('runs nothing on the machine where it is installed', () => {
    const packages = [...productionPackages()]

    const running = packages.filter((directory) => {
      const { scripts = {} } = readManifest(directory)
      // Without an install script of its own, a binding.gyp makes npm start a compiler.
      return HOOKS.some((hook) => scripts[hook] !== undefined) || existsSync(join(directory, 'binding.gyp'))
    })

    expect(packages.length).toBeGreaterThan(Object.keys(manifest.dependencies ?? {}).length)
    expect(running).toEqual([])
  })
})

test('the programs of a fresh build are executable by everybody', () => {
  for (const path of Object.values(manifest.bin)) {
    expect(statSync(join(ROOT, path)).mode & 0o777).toBe(0o755)
    expect(readFileSync(join(ROOT, path), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  }
})
