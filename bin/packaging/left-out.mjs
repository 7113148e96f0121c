/**
 * What packages ask for and the programs never use: it is left out of them, and whoever uses it all the same is told.
 *
 *     pino       writes to a file by itself, or by a worker; ours hands every line to `lib/log`
 *                tells of its lines to who listens on a channel of `node:diagnostics_channel`; nobody does
 *     commander  starts a program for a command; ours has none of those, and only `lib/engines` starts programs
 *
 * These few take Node longer to load than everything else that a greeting needs.
 */

/** Stands in for what is left out: a class or function that says so. */
const notThere = (what) => `module.exports = function () { throw new Error('bug: ${what} is not in this program') }`

const LEFT_OUT = [
  {
    importer: /\/node_modules\/pino\/lib\/tools\.js$/,
    names: {
      'sonic-boom': notThere('sonic-boom'),
      './transport': notThere('a transport of pino'),
      worker_threads: 'exports.isMainThread = true', // in a worker there is no pino
      'node:diagnostics_channel': 'exports.tracingChannel = () => ({ hasSubscribers: false })',
    },
  },
  {
    importer: /\/node_modules\/pino\/pino\.js$/,
    names: { './lib/transport': notThere('a transport of pino') },
  },
  {
    importer: /\/node_modules\/commander\/lib\/command\.js$/,
    names: {
      'node:child_process': `exports.spawn = ${notThere('a program for a command').replace('module.exports = ', '')}`,
    },
  },
]

const PREFIX = '\0left-out:'

/** A plugin of the bundler. Every line of the table must have been of use: a package that has changed is looked at again. */
export const leftOut = () => {
  const codes = new Map()
  return {
    name: 'left-out',
    resolveId(source, importer = '') {
      const code = LEFT_OUT.find((one) => one.importer.test(importer))?.names[source]
      if (code === undefined) return null
      const id = `${PREFIX}${importer.split('/node_modules/').at(-1)}/${source}`
      codes.set(id, code)
      return { id, moduleSideEffects: false }
    },
    load(id) {
      const code = codes.get(id)
      return code === undefined ? null : { code, moduleType: 'js' }
    },
    buildEnd() {
      const wanted = LEFT_OUT.flatMap(({ names }) => Object.keys(names)).length
      if (codes.size !== wanted) throw new Error(`expected ${wanted} modules to leave out, found ${codes.size}`)
    },
  }
}
