/**
 * Loads the core of the agent as Node has compiled it once before, where that lies beside it.
 *
 *     parts/core.cjs.cache ─┬▶ fits this Node, and this core ─▶ run it: nothing is compiled
 *                           └▶ not there, or another's        ─▶ require(), as ever
 *
 * Compiled code is believed without being read: so it is taken from no place but the program's own directory, where
 * nobody can write who could not change the program itself. `code-cache.cjs` makes it.
 *
 * The core is ASCII, and one function that whoever runs it calls: its text is read and kept once. What the bundler adds
 * to every file comes with this one; to look for the file of it takes Node longer than the whole of it.
 *
 * The bundler puts these functions into the program; they need nothing around them.
 */
function loadCore() {
  const { readFileSync } = require('node:fs')
  const { dirname, join } = require('node:path')
  const file = join(__dirname, 'parts/core.cjs')
  let cachedData
  try {
    cachedData = readFileSync(`${file}.cache`)
  } catch {
    return require('./parts/core.cjs')
  }
  const { Script } = require('node:vm')
  const Module = module.constructor
  const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData })
  if (script.cachedDataRejected) return require('./parts/core.cjs')
  const core = new Module(file, module)
  core.filename = file
  core.paths = module.paths
  Module._cache[file] = core // the other parts ask for it by require()
  const need = (id) => (id === './rolldown-runtime.cjs' ? bundlerRuntime() : core.require(id))
  script.runInThisContext()(core.exports, need, core, file, dirname(file))
  core.loaded = true
  return core.exports
}

/** In its place the bundler puts the text of that file. */
function bundlerRuntime() {
  return require('./parts/rolldown-runtime.cjs')
}

module.exports = { loadCore }
