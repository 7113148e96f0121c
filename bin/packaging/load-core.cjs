/**
 * Loads the core of the agent as Node has compiled it once before, where that lies beside it.
 *
 *     parts/core.cjs.cache ─┬▶ fits this Node, and this core ─▶ run it: nothing is compiled
 *                           └▶ not there, or another's        ─▶ require(), as ever
 *
 * Compiled code is believed without being read: so it is taken from no place but the program's own directory, where
 * nobody can write who could not change the program itself. `code-cache.cjs` makes it.
 *
 * The bundler puts this function into the program; it needs nothing around it.
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
  const script = new Script(Module.wrap(readFileSync(file, 'utf8')), { filename: file, cachedData })
  if (script.cachedDataRejected) return require('./parts/core.cjs')
  const core = new Module(file, module)
  core.filename = file
  core.paths = module.paths
  Module._cache[file] = core // the other parts ask for it by require()
  script.runInThisContext()(core.exports, (id) => core.require(id), core, file, dirname(file))
  core.loaded = true
  return core.exports
}

module.exports = { loadCore }
