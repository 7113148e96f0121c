/**
 * The last step of `npm run build`: puts each program, and all that it needs, into a few files that load fast.
 *
 *     dist/bin, dist/lib, node_modules ─▶ dist/programs/backup-agent.cjs, backup-client.cjs   the programs
 *                                                       parts/core.cjs    what an agent needs to be greeted
 *                                                       parts/*.cjs       what is loaded when it is needed
 *                                                       code-cache.cjs    leaves compiled code beside the core, where it is installed
 *                                                       *.cjs.map         for `node --enable-source-maps`
 *                                                       LICENSES.txt      of the packages inside
 *
 * Under inetd a process starts for each client. Opening two hundred modules took it longer than everything else; so
 * what is needed for a greeting stands in one file, and the rest behind `import()`. CommonJS, because Node starts that
 * sooner; names and lines stay as they are, so that a stack can be read.
 *
 * The packages are inside: they are the greater part of what is loaded, and the programs are tested with these versions
 * alone. One is not: `bundled-packages.mjs`. The library (`exports` in package.json) is not bundled, and takes them all
 * from node_modules.
 */

import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { rolldown } from 'rolldown'

import { bundledPackages, licencesOf, OUTSIDE } from './bundled-packages.mjs'
import { leftOut } from './left-out.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const here = fileURLToPath(new URL('./', import.meta.url))
const out = join(root, 'dist/programs')
const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** The module that is loaded when an agent starts, and everything that it cannot do without. */
const CORE_ENTRY = join(root, 'dist/lib/cli/run-agent.js')

/** Maps of the compiler lead on to TypeScript. */
const compilerMaps = {
  name: 'compiler-maps',
  load(id) {
    if (!id.startsWith(join(root, 'dist/')) || !existsSync(`${id}.map`)) return null
    return { code: readFileSync(id, 'utf8'), map: readFileSync(`${id}.map`, 'utf8') }
  },
}

const open = () =>
  rolldown({
    cwd: root,
    input: Object.fromEntries(Object.keys(bin).map((name) => [name, join(root, 'dist/bin', `${name}.js`)])),
    platform: 'node',
    preserveEntrySignatures: 'allow-extension', // one file for all that comes with an agent's start, its entry among it
    external: OUTSIDE,
    plugins: [leftOut(), compilerMaps],
    // Nothing in lib does anything by being loaded: what nobody uses may be left out.
    treeshake: { moduleSideEffects: [{ test: /\/dist\/lib\//, sideEffects: false }] },
    onLog: (level, log) => {
      if (level === 'warn' && log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') throw new Error(`bundling: ${log.message}`)
    },
  })

/** Two levels below dist/: `lib/config/product.ts` finds package.json three above itself, wherever it is. */
const options = {
  format: 'cjs',
  dir: out,
  entryFileNames: '[name].cjs',
  chunkFileNames: 'parts/[name].cjs',
  sourcemap: true,
  dynamicImportInCjs: false, // Node's own modules come sooner by require()
  comments: false,
}

/** Modules that come with the start of an agent. The bundler would put them into as many files as there are ways to them. */
const findCore = async () => {
  const bundle = await open()
  const { output } = await bundle.generate(options)
  await bundle.close()
  const chunks = new Map(output.filter(({ type }) => type === 'chunk').map((chunk) => [chunk.fileName, chunk]))
  const start = [...chunks.values()].find(({ facadeModuleId }) => facadeModuleId === CORE_ENTRY)
  const core = new Set()
  const follow = (chunk) => {
    for (const id of chunk.moduleIds) core.add(id)
    for (const name of chunk.imports) {
      const next = chunks.get(name)
      if (next !== undefined && !next.moduleIds.every((id) => core.has(id))) follow(next)
    }
  }
  follow(start)
  return core
}

const main = async () => {
  const core = await findCore()
  const bundle = await open()
  rmSync(out, { recursive: true, force: true })
  const { output } = await bundle.write({
    ...options,
    codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: 'core', test: (id) => core.has(id) }] },
  })
  await bundle.close()
  const packages = bundledPackages(
    root,
    output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : [])),
  )
  writeFileSync(join(out, 'LICENSES.txt'), licencesOf(root, packages))
  for (const { type, fileName } of output) if (type === 'chunk') makeAscii(join(out, fileName))
  makeFunction(join(out, 'parts/core.cjs'))
  loadCoreCached(join(out, 'backup-agent.cjs'))
  cpSync(join(here, 'code-cache.cjs'), join(out, 'code-cache.cjs'))
}

/** One byte a character is read, kept and compiled faster; outside of ASCII there are only strings and patterns. */
const makeAscii = (file) => {
  const text = readFileSync(file, 'utf8')
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  writeFileSync(file, text.replace(/[^\0-\x7f]/g, escaped))
}

/**
 * The core as one function, that `require()` calls itself and that is the value of the text for whoever runs it as a
 * script: what `Module.wrap` does would need its text, the greatest thing in memory at a greeting, once more. Its lines
 * stay where they are.
 */
const makeFunction = (file) => {
  const names = 'exports, require, module, __filename, __dirname'
  const call = `typeof module === "undefined" ? (core) => core : (core) => core(${names})`
  const [code, map] = cutMap(readFileSync(file, 'utf8'))
  writeFileSync(file, `(${call})(function (${names}) {${code}\n})${map}`)
}

const cutMap = (text) => text.split(/(?=\n\/\/# sourceMappingURL)/)

/** The one place where the agent's program loads its core goes by the cache; functions may stand behind their use. */
const loadCoreCached = (file) => {
  const [before, after, ...more] = readFileSync(file, 'utf8').split('require("./parts/core.cjs")')
  if (after === undefined || more.length > 0) throw new Error(`expected one place in ${file} that loads the core`)
  const [code, map] = cutMap(`${before}loadCore()${after}`)
  const text = readFileSync(join(here, 'load-core.cjs'), 'utf8')
  const loader = text.slice(text.indexOf('function loadCore'), text.indexOf('\n/** In its place'))
  const runtime = readFileSync(join(out, 'parts/rolldown-runtime.cjs'), 'utf8')
  const ownRuntime = `function bundlerRuntime() {\nconst exports = {};\n${runtime}\nreturn exports;\n}\n`
  writeFileSync(file, `${code}${loader}${ownRuntime}${map}`)
}

await main()
