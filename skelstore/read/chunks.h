/* Rows of shards, read without the interpreter: what core.c plans, chunks.c does. */

#ifndef SKELSTORE_CHUNKS_H
#define SKELSTORE_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRC_BYTES = 4 };

typedef enum { PLAIN, BLOSC, TRANSPOSED } Coding;

/* The chunks of a shard. Chunk c, with its checksum, is the bytes bounds[c] to bounds[c + 1] of the file. */
typedef struct {
    const int64_t *bounds;
    uint8_t *checked; /* one byte a chunk, shared with the Python reader: whether its checksum has been compared */
    int64_t count;
} Chunks;

/* How an array is cut into chunks and encoded, and the chunk that was decoded last, if only a part was needed. */
typedef struct {
    Coding coding;
    bool always; /* compare checksums on every read */
    int64_t item_bytes, row_bytes, chunk_rows, chunk_bytes;
    uint8_t *decoded;
    const Chunks *decoded_of;
    int64_t decoded_chunk;
    char decoding; /* a thread is using the three above */
} Encoding;

/* Rows of one shard to be read into memory of the result, from the map of its file, or from its descriptor. */
typedef struct {
    Encoding *encoding;
    const Chunks *chunks;
    int64_t start, count;
    uint8_t *out;
    const uint8_t *map; /* NULL: not mapped */
    int fd;
} Rows;

/* Other libraries of the process may have functions of the same names. */
#pragma GCC visibility push(hidden)

/* `blosc_decompress_ctx` of c-blosc 1 in the extension of numcodecs, or NULL. */
extern int (*blosc_decompress)(const void *coded, void *decoded, size_t capacity, int threads);

/* Choose the code of `crc32c` for this processor. */
void choose_crc32c(void);

/* CRC-32C (RFC 3720, appendix B.4) of bytes; the portable one is for every processor. */
uint32_t crc32c(const uint8_t *data, size_t size);
uint32_t portable_crc32c(const uint8_t *data, size_t size);

/* Read, check and decode rows. False: Python has to read them, since the file is damaged or memory is short. */
bool read_rows(const Rows *rows);

#pragma GCC visibility pop

#endif
