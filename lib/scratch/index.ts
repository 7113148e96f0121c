/** Door of the room `scratch`: files that nobody else sees, on a disk that is never filled to the brim. */

export { type ScratchDisk, type ScratchHandle, systemDisk } from './scratch-disk.ts'
export { ScratchFile } from './scratch-file.ts'
export { ScratchDirectory, type ScratchSettings } from './scratch-directory.ts'
