/**
 * What the build makes of `kernels.wat`: test/setup/assemble-kernels.mjs.
 *
 * Text, and not a file of its own, so that it is there wherever the module is: in the npm package, in the Debian
 * package, and in a bundle.
 */

/** The assembled module, in base64. */
export const KERNELS_WASM: string
