/* Checksums, and the bytes of chunks: copied from a map or read from a file, checked, and decoded. */

#include "chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOSC_HEADER_BYTES = 16 };

int (*blosc_decompress)(const void *coded, void *decoded, size_t capacity, int threads);

/* ------------------------------------------------------------------------------------------------- checksums */

static uint32_t crc_tables[8][256];

static void make_crc_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
        crc_tables[0][byte] = crc;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = crc_tables[table - 1][byte];
            crc_tables[table][byte] = crc >> 8 ^ crc_tables[0][crc & 255];
        }
}

/* Eight bytes at a time, by eight tables (Kounavis and Berry, "A systematic approach to building high performance
 * software-based CRC generators", 2005). */
static uint32_t crc_by_tables(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 8; data += 8, size -= 8) {
        crc ^= data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = crc_tables[7][crc & 255] ^ crc_tables[6][crc >> 8 & 255] ^ crc_tables[5][crc >> 16 & 255] ^
              crc_tables[4][crc >> 24] ^ crc_tables[3][data[4]] ^ crc_tables[2][data[5]] ^ crc_tables[1][data[6]] ^
              crc_tables[0][data[7]];
    }
    while (size--)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *data++) & 255];
    return crc;
}

static uint32_t (*crc_function)(uint32_t, const uint8_t *, size_t) = crc_by_tables;

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    while (size--)
        crc = __builtin_ia32_crc32qi(crc, *data++);
    return crc;
}
#endif

void choose_crc32c(void)
{
    make_crc_tables();
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        crc_function = crc_by_instruction;
#endif
}

uint32_t crc32c(const uint8_t *data, size_t size)
{
    return ~crc_function(0xFFFFFFFF, data, size);
}

uint32_t portable_crc32c(const uint8_t *data, size_t size)
{
    return ~crc_by_tables(0xFFFFFFFF, data, size);
}

/* ---------------------------------------------------------------------------------------------------- chunks */

static bool read_file(int fd, uint8_t *buffer, int64_t size, int64_t offset)
{
    while (size > 0) {
        ssize_t got = pread(fd, buffer, (size_t)size, offset);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        if (got > 0) {
            buffer += got;
            offset += got;
            size -= got;
        }
    }
    return true;
}

static int64_t coded_bytes(const Chunks *chunks, int64_t chunk)
{
    return chunks->bounds[chunk + 1] - chunks->bounds[chunk] - CRC_BYTES;
}

static bool check_chunk(const Rows *rows, int64_t chunk, const uint8_t *coded)
{
    uint8_t *checked = &rows->chunks->checked[chunk];
    if (*checked && !rows->encoding->always)
        return true;
    size_t size = (size_t)coded_bytes(rows->chunks, chunk);
    const uint8_t *crc = coded + size;
    uint32_t expected = crc[0] | (uint32_t)crc[1] << 8 | (uint32_t)crc[2] << 16 | (uint32_t)crc[3] << 24;
    if (crc32c(coded, size) != expected)
        return false;
    if (!rows->encoding->always)
        *checked = 1;
    return true;
}

/* blosc trusts the sizes in its header, so they are compared with the two that are known. */
static bool decode_chunk(const Rows *rows, int64_t chunk, const uint8_t *coded, uint8_t *decoded)
{
    int64_t size = coded_bytes(rows->chunks, chunk), chunk_bytes = rows->encoding->chunk_bytes;
    uint32_t header[2];
    if (size < BLOSC_HEADER_BYTES)
        return false;
    memcpy(&header[0], coded + 4, 4);
    memcpy(&header[1], coded + 12, 4);
    if (header[0] != chunk_bytes || header[1] != size)
        return false;
    return blosc_decompress(coded, decoded, (size_t)chunk_bytes, 1) == chunk_bytes;
}

#define TRANSPOSE(kind)                                                                                                \
    for (int64_t row = 0; row < count; row++)                                                                          \
        for (int64_t i = 0; i < items; i++)                                                                            \
            memcpy(out + (row * items + i) * (int64_t)sizeof(kind),                                                    \
                   decoded + (i * encoding->chunk_rows + first + row) * (int64_t)sizeof(kind), sizeof(kind))

/* Copy rows of a decoded chunk. A transposed chunk is [*trailing, rows], else [rows, *trailing]. */
static void copy_rows(const Encoding *encoding, const uint8_t *decoded, int64_t first, int64_t count, uint8_t *out)
{
    int64_t items = encoding->row_bytes / encoding->item_bytes;
    if (encoding->coding != TRANSPOSED)
        memcpy(out, decoded + first * encoding->row_bytes, (size_t)(count * encoding->row_bytes));
    else if (encoding->item_bytes == 1)
        TRANSPOSE(uint8_t);
    else if (encoding->item_bytes == 2)
        TRANSPOSE(uint16_t);
    else if (encoding->item_bytes == 4)
        TRANSPOSE(uint32_t);
    else
        TRANSPOSE(uint64_t);
}

/* Read the chunks of a job, the first of which is at `coded`. `decoded` is memory for a chunk; it holds chunk `known`,
 * if that is not -1. A chunk that is needed whole, or has no encoding, does not go through it. */
static bool read_chunks(const Rows *rows, const uint8_t *coded, uint8_t *decoded, int64_t *known)
{
    const Encoding *encoding = rows->encoding;
    int64_t chunk = rows->start / encoding->chunk_rows, first = rows->start % encoding->chunk_rows, left = rows->count;
    uint8_t *out = rows->out;
    for (; left > 0; coded += coded_bytes(rows->chunks, chunk) + CRC_BYTES, chunk++, first = 0) {
        int64_t count = left < encoding->chunk_rows - first ? left : encoding->chunk_rows - first;
        bool whole = count == encoding->chunk_rows && encoding->coding == BLOSC;
        if (*known == chunk) {
            copy_rows(encoding, decoded, first, count, out);
        } else if (!check_chunk(rows, chunk, coded)) {
            return false;
        } else if (encoding->coding == PLAIN) {
            copy_rows(encoding, coded, first, count, out);
        } else if (whole) {
            if (!decode_chunk(rows, chunk, coded, out))
                return false;
        } else {
            *known = -1;
            if (!decode_chunk(rows, chunk, coded, decoded))
                return false;
            *known = chunk;
            copy_rows(encoding, decoded, first, count, out);
        }
        out += count * encoding->row_bytes;
        left -= count;
    }
    return true;
}

/* Read encoded chunks, with the chunk that the array has kept, unless another thread is using it. */
static bool read_encoded(const Rows *rows, const uint8_t *coded)
{
    Encoding *encoding = rows->encoding;
    int64_t known = -1;
    if (encoding->always || __atomic_test_and_set(&encoding->decoding, __ATOMIC_ACQUIRE)) {
        uint8_t *decoded = malloc((size_t)encoding->chunk_bytes);
        bool done = decoded && read_chunks(rows, coded, decoded, &known);
        free(decoded);
        return done;
    }
    if (encoding->decoded_of == rows->chunks)
        known = encoding->decoded_chunk;
    if (encoding->decoded == NULL)
        encoding->decoded = malloc((size_t)encoding->chunk_bytes);
    bool done = encoding->decoded && read_chunks(rows, coded, encoding->decoded, &known);
    encoding->decoded_of = rows->chunks;
    encoding->decoded_chunk = known;
    __atomic_clear(&encoding->decoding, __ATOMIC_RELEASE);
    return done;
}

bool read_rows(const Rows *rows)
{
    const Encoding *encoding = rows->encoding;
    const Chunks *chunks = rows->chunks;
    int64_t chunk = rows->start / encoding->chunk_rows, stop = (rows->start + rows->count - 1) / encoding->chunk_rows + 1;
    int64_t begin = chunks->bounds[chunk], size = chunks->bounds[stop] - begin;
    uint8_t *buffer = NULL;
    if (rows->map == NULL) {
        if ((buffer = malloc((size_t)size)) == NULL || !read_file(rows->fd, buffer, size, begin)) {
            free(buffer);
            return false;
        }
    } else if (memchr(chunks->checked + chunk, 0, (size_t)(stop - chunk))) {
        /* Probably the first time that these pages are read: ask for all of them at once, not page by page. */
        size_t page = (size_t)begin & ((size_t)sysconf(_SC_PAGESIZE) - 1);
        madvise((void *)(rows->map + begin - page), (size_t)size + page, MADV_WILLNEED);
    }
    const uint8_t *coded = buffer ? buffer : rows->map + begin;
    int64_t known = -1;
    bool done = encoding->coding == PLAIN ? read_chunks(rows, coded, NULL, &known) : read_encoded(rows, coded);
    free(buffer);
    return done;
}
