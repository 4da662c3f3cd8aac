/* The compiled read path: a video's annotation in one call.
 *
 * It does what the Python reader does when all is well: it finds a name, builds the dict, and copies or decodes the
 * rows of each array into it, with the interpreter lock released while bytes move. Whatever is unusual (damage, a
 * missing file, a value that needs Python, a lack of memory) it leaves to the Python reader, by calling `fallback`,
 * which returns the annotation or raises the error. So there is one place that explains errors, and it is not here.
 *
 * `compiled.py` builds a Core from the metadata and the columns of a store. Everything that comes from files is checked
 * there or here before it is used as an address: rows against shards, chunks against the index of their shard, sizes in
 * blosc's header against both.
 */

/* No formats with '#': what the headers of Python 3.13 make of them fails in 3.11. */
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include "chunks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#include <sys/param.h>
#endif

enum { MAX_AXES = 32 };

/* Files that all stores together map; others are read by pread. Linux allows 65,530 maps a process. */
enum { MAX_MAPS = 16384 };

/* Fewer bytes are copied with the interpreter lock held: to release it costs as much. */
enum { UNLOCKED_BYTES = 16384 };

/* --------------------------------------------------------------------------------------------- shards and maps */

/* An open shard. */
typedef struct Shard {
    Chunks chunks;
    int64_t size;
    PyObject *opened; /* (file, bounds, checked, size, present), which keeps the memory of the chunks alive */
    const uint8_t *present; /* of a copy: one byte per chunk, whether it is there; else NULL */
    int64_t presents;
    struct Shard *older; /* the copy that was read before this one; another thread may still use it */
    uint8_t *map;     /* NULL: not mapped */
    bool mappable;    /* false: read by pread */
    bool closing;     /* unmap when no job uses it */
    int users;
} Shard;

static int maps;

static void unmap(Shard *shard)
{
    shard->closing = shard->map != NULL;
    if (shard->map == NULL || shard->users)
        return;
    munmap(shard->map, (size_t)shard->size);
    shard->map = NULL;
    maps--;
}

/* Whether the file is on this machine. A file that another machine may truncate is not mapped: reading the map beyond
 * its new end would end the process with SIGBUS. The numbers are those of statfs(2). */
static bool is_local(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status))
        return false;
#ifdef __linux__
    static const uint32_t local[] = {
        0xEF53 /* ext2 to ext4 */, 0x58465342 /* XFS */,   0x9123683E /* Btrfs */,    0x01021994 /* tmpfs */,
        0x858458F6 /* ramfs */,    0x794C7630 /* overlay */, 0x2FC12FC1 /* ZFS */,     0xF2F52010 /* F2FS */,
        0xCA451A4E /* bcachefs */, 0x73717368 /* SquashFS */, 0xE0F5E1E2 /* EROFS */,
    };
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((uint32_t)status.f_type == local[i])
            return true;
    return false;
#else
    return (status.f_flags & MNT_LOCAL) != 0;
#endif
}

/* The open descriptor of a shard's file: an object that keeps it open, and its number. NULL: Python has raised. */
static PyObject *hold_file(const Shard *shard, int *fd)
{
    PyObject *descriptor = PyObject_CallMethod(PyTuple_GetItem(shard->opened, 0), "hold", NULL);
    PyObject *number = descriptor ? PyObject_GetAttrString(descriptor, "fd") : NULL;
    *fd = number ? (int)PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (PyErr_Occurred())
        Py_CLEAR(descriptor);
    return descriptor;
}

/* Map a shard, unless its file is not local; then it is not mappable. False: Python has raised. */
static bool map_shard(Shard *shard)
{
    int fd;
    struct stat status;
    PyObject *descriptor = hold_file(shard, &fd);
    if (descriptor == NULL)
        return false;
    void *map = MAP_FAILED;
    if (shard->map == NULL && maps < MAX_MAPS && is_local(fd) && fstat(fd, &status) == 0 && status.st_size >= shard->size)
        map = mmap(NULL, (size_t)shard->size, PROT_READ, MAP_SHARED, fd, 0);
    Py_DECREF(descriptor);
    if (shard->map) /* another thread was faster */
        return true;
    shard->mappable = map != MAP_FAILED;
    if (!shard->mappable)
        return true;
    /* Not what lies around a video: its neighbours in the file are seldom its neighbours in a shuffled epoch. */
    madvise(map, (size_t)shard->size, MADV_RANDOM);
    shard->map = map;
    shard->closing = false;
    maps++;
    /* The map needs no descriptor, and a process may have few. */
    PyObject *closed = PyObject_CallMethod(PyTuple_GetItem(shard->opened, 0), "close", NULL);
    Py_XDECREF(closed);
    return closed != NULL;
}

/* ------------------------------------------------------------------------------------------------------ arrays */

/* An array of the store, [rows, *trailing], and its shards. */
typedef struct {
    Encoding encoding;
    PyArray_Descr *dtype;
    PyObject *open; /* function from the number of a shard to (file, bounds, checked, size, present) */
    bool remote;    /* whether shards are copies, and have to be fetched before they are opened */
    bool mapped;    /* whether to map files */
    int axes;
    npy_intp trailing[MAX_AXES];
    int64_t shard_rows;
    Shard **shards;
    int64_t known; /* length of `shards` */
} Array;

/* Rows of one shard to be read. */
typedef struct {
    Rows rows;
    Shard *shard;
    PyObject *descriptor; /* of a file that is not mapped */
} Job;

/* What to read when the dicts are built; it is read without the interpreter lock, then ended with it. */
typedef struct {
    Job *items;
    size_t count, capacity;
    int64_t bytes;
    bool coded;
    bool fetched; /* what was missing has been fetched */
    bool missing; /* something that is to be read is not here: there is no job for it */
} Jobs;

static bool add_job(Jobs *jobs, Shard *shard, Rows rows)
{
    PyObject *descriptor = NULL;
    if (jobs->count == jobs->capacity) {
        size_t capacity = jobs->capacity ? jobs->capacity * 4 : 16;
        Job *items = realloc(jobs->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        jobs->items = items;
        jobs->capacity = capacity;
    }
    rows.chunks = &shard->chunks;
    rows.map = shard->map;
    if (rows.map == NULL && (descriptor = hold_file(shard, &rows.fd)) == NULL)
        return false;
    shard->users++;
    jobs->items[jobs->count++] = (Job){rows, shard, descriptor};
    jobs->bytes += rows.count * rows.encoding->row_bytes;
    jobs->coded |= rows.encoding->coding != PLAIN;
    return true;
}

static void end_jobs(Jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        Shard *shard = jobs->items[i].shard;
        Py_XDECREF(jobs->items[i].descriptor);
        if (--shard->users == 0 && shard->closing)
            unmap(shard);
    }
    free(jobs->items);
}

/* Open a shard by the Python reader, which checks its index. NULL: Python has raised, or there is no memory. */
static Shard *open_shard(Array *array, int64_t number)
{
    PyObject *opened = PyObject_CallFunction(array->open, "L", (long long)number), *file;
    PyArrayObject *bounds, *checked;
    PyObject *present;
    long long size;
    if (opened == NULL || !PyArg_ParseTuple(opened, "OOOLO", &file, &bounds, &checked, &size, &present)) {
        Py_XDECREF(opened);
        return NULL;
    }
    if (number >= array->known) {
        Shard **shards = realloc(array->shards, (size_t)(number + 1) * sizeof *shards);
        if (shards) {
            memset(shards + array->known, 0, (size_t)(number + 1 - array->known) * sizeof *shards);
            array->shards = shards;
            array->known = number + 1;
        }
    }
    Shard *shard = number < array->known ? array->shards[number] : NULL; /* another thread may have been faster */
    Shard *older = NULL;
    if (shard && PyTuple_GetItem(shard->opened, 0) != file) { /* a new copy, since the old one was evicted */
        unmap(shard);
        older = shard;
        shard = NULL;
    }
    if (shard == NULL && number < array->known && (shard = calloc(1, sizeof *shard))) {
        shard->chunks = (Chunks){PyArray_DATA(bounds), PyArray_DATA(checked), PyArray_SIZE(checked)};
        shard->size = size;
        shard->opened = Py_NewRef(opened);
        shard->mappable = array->mapped;
        shard->older = older;
        if (present != Py_None) {
            shard->present = PyArray_DATA((PyArrayObject *)present);
            shard->presents = PyArray_SIZE((PyArrayObject *)present);
        }
        array->shards[number] = shard;
    }
    Py_DECREF(opened);
    return shard;
}

/* Whether chunks of a copy are there. */
static bool has_chunks(const Shard *shard, int64_t first, int64_t stop)
{
    return shard->present == NULL ||
           (stop <= shard->presents && memchr(shard->present + first, 0, (size_t)(stop - first)) == NULL);
}

/* Plan to read rows of an array into `out`: one job a shard. False: Python has raised, or the table is damaged. */
static bool plan_rows(Array *array, int64_t start, int64_t count, uint8_t *out, Jobs *jobs)
{
    Encoding *encoding = &array->encoding;
    while (count > 0) {
        int64_t number = start / array->shard_rows, offset = start % array->shard_rows;
        int64_t taken = count < array->shard_rows - offset ? count : array->shard_rows - offset;
        int64_t first = offset / encoding->chunk_rows, stop = (offset + taken - 1) / encoding->chunk_rows + 1;
        Shard *shard = number < array->known ? array->shards[number] : NULL;
        bool wait = array->remote && !jobs->fetched;
        if (shard == NULL && !wait && (shard = open_shard(array, number)) == NULL)
            return false;
        if (shard && stop > shard->chunks.count)
            return false; /* a chunk that the shard does not have */
        if (shard && !wait && !has_chunks(shard, first, stop) && (shard = open_shard(array, number)) == NULL)
            return false;
        if (shard == NULL || !has_chunks(shard, first, stop)) {
            jobs->missing = true;
            out += taken * encoding->row_bytes;
            start += taken;
            count -= taken;
            continue;
        }
        if (shard->map == NULL && shard->mappable && !map_shard(shard))
            return false;
        if (!add_job(jobs, shard, (Rows){.encoding = encoding, .start = offset, .count = taken, .out = out}))
            return false;
        out += taken * encoding->row_bytes;
        start += taken;
        count -= taken;
    }
    return true;
}

static int compare_jobs(const void *left, const void *right)
{
    const Job *a = left, *b = right;
    if (a->shard != b->shard)
        return (uintptr_t)a->shard < (uintptr_t)b->shard ? -1 : 1;
    return a->rows.start < b->rows.start ? -1 : a->rows.start > b->rows.start;
}

static bool run_jobs(Jobs *jobs)
{
    bool done = true;
    PyThreadState *state = jobs->coded || jobs->bytes > UNLOCKED_BYTES ? PyEval_SaveThread() : NULL;
    for (size_t i = 0; done && i < jobs->count; i++)
        done = read_rows(&jobs->items[i].rows);
    if (state)
        PyEval_RestoreThread(state);
    return done;
}

/* ------------------------------------------------------------------------------------- layouts and annotations */

typedef enum { CALL, CONSTANT, TEXT, INT, FLOAT, TUPLE, DICT, ARRAY } Kind;

/* A value of an annotation, as the layout describes it. */
typedef struct Node {
    Kind kind;
    PyObject *object;      /* CALL: function of the row; CONSTANT: the value; DICT: tuple of keys */
    const int64_t *first;  /* TEXT: offsets; INT: values; ARRAY: first rows */
    const void *data;      /* TEXT: bytes; FLOAT: values */
    Array *array;
    int count; /* of children, or of ragged axes */
    union {
        struct Node *children;
        const int64_t **lengths; /* of the ragged axes */
    };
} Node;

typedef struct {
    PyObject_HEAD
    PyObject *kept;     /* what it was made from: the memory of all columns */
    PyObject *fallback; /* function from a row to its annotation: the Python reader */
    PyObject *load_names;
    PyObject *fetch; /* None, or function from a list of rows that fetches what is missing of them */
    PyObject *names; /* (bucket, video, offsets, bytes), or NULL */
    int64_t videos;
    const int32_t *layout; /* of each video */
    const uint8_t *ready;  /* of each group of rows of the table, whether they may be looked at; NULL: all may be */
    int64_t group_rows;
    Node *layouts;
    int64_t layout_count;
    Array *arrays;
    int64_t array_count;
} Core;

static PyObject *build(const Node *node, int64_t row, Jobs *jobs);

/* A new array of the video's shape, and the plan to fill it. */
static PyObject *build_array(const Node *node, int64_t row, Jobs *jobs)
{
    Array *array = node->array;
    npy_intp shape[MAX_AXES];
    int64_t count = 1;
    for (int i = 0; i < node->count; i++) {
        shape[i] = node->lengths[i][row];
        if (__builtin_mul_overflow(count, node->lengths[i][row], &count))
            return NULL;
    }
    memcpy(shape + node->count, array->trailing, (size_t)array->axes * sizeof *shape);
    Py_INCREF((PyObject *)array->dtype);
    PyObject *made =
        PyArray_NewFromDescr(&PyArray_Type, array->dtype, node->count + array->axes, shape, NULL, NULL, 0, NULL);
    if (made && !plan_rows(array, node->first[row], count, PyArray_DATA((PyArrayObject *)made), jobs))
        Py_CLEAR(made);
    return made;
}

static PyObject *build_dict(const Node *node, int64_t row, Jobs *jobs)
{
    PyObject *made = PyDict_New();
    for (int i = 0; made && i < node->count; i++) {
        PyObject *value = build(&node->children[i], row, jobs);
        /* Two equal keys would end an array that a job is to fill. */
        if (value == NULL || PyDict_SetItem(made, PyTuple_GetItem(node->object, i), value) || PyDict_Size(made) != i + 1)
            Py_CLEAR(made);
        Py_XDECREF(value);
    }
    return made;
}

static PyObject *build_tuple(const Node *node, int64_t row, Jobs *jobs)
{
    PyObject *made = PyTuple_New(node->count);
    for (int i = 0; made && i < node->count; i++) {
        PyObject *value = build(&node->children[i], row, jobs);
        if (value == NULL || PyTuple_SetItem(made, i, value))
            Py_CLEAR(made);
    }
    return made;
}

/* The value of a node in a video. NULL: to be read by Python, whether or not Python has raised. */
static PyObject *build(const Node *node, int64_t row, Jobs *jobs)
{
    switch (node->kind) {
    case TEXT:
        return PyUnicode_DecodeUTF8((const char *)node->data + node->first[row],
                                    (Py_ssize_t)(node->first[row + 1] - node->first[row]), "strict");
    case INT:
        return PyLong_FromLongLong(node->first[row]);
    case FLOAT:
        return PyFloat_FromDouble(((const double *)node->data)[row]);
    case CONSTANT:
        return Py_NewRef(node->object);
    case ARRAY:
        return build_array(node, row, jobs);
    case DICT:
        return build_dict(node, row, jobs);
    case TUPLE:
        return build_tuple(node, row, jobs);
    case CALL:
        return PyObject_CallFunction(node->object, "L", (long long)row);
    }
    return NULL;
}

static PyObject *build_annotation(const Core *core, int64_t row, Jobs *jobs)
{
    if (core->ready && !core->ready[row / core->group_rows]) {
        jobs->missing = true;
        return Py_NewRef(Py_None); /* nobody sees it: what is missing is fetched, or read by Python */
    }
    PyObject *annotation = build(&core->layouts[core->layout[row]], row, jobs);
    if (annotation && !PyDict_CheckExact(annotation))
        Py_CLEAR(annotation); /* a damaged layout */
    return annotation;
}

/* Clear an error that the Python reader explains better. False for one such as KeyboardInterrupt. */
static bool clear_error(void)
{
    if (PyErr_Occurred() == NULL)
        return true;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    PyErr_Clear();
    return true;
}

static PyObject *read_by_python(const Core *core, int64_t row)
{
    return clear_error() ? PyObject_CallFunction(core->fallback, "L", (long long)row) : NULL;
}

static PyObject *read_row(const Core *core, int64_t row)
{
    if (row < 0 || row >= core->videos)
        return read_by_python(core, row);
    PyObject *annotation = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        Jobs jobs = {.fetched = attempt > 0};
        annotation = build_annotation(core, row, &jobs);
        if (annotation && (jobs.missing || !run_jobs(&jobs)))
            Py_CLEAR(annotation);
        end_jobs(&jobs);
        if (!jobs.missing || attempt > 0)
            break;
        /* An error of the network is raised: Python would only try once more. */
        PyObject *fetched = clear_error() ? PyObject_CallFunction(core->fetch, "[L]", (long long)row) : NULL;
        Py_XDECREF(fetched);
        if (fetched == NULL)
            return NULL;
    }
    return annotation ? annotation : read_by_python(core, row);
}

/* -------------------------------------------------------------------------------------------------------- names */

static bool open_names(Core *core)
{
    if (core->names == NULL) {
        PyObject *names = PyObject_CallNoArgs(core->load_names);
        if (core->names) /* another thread was faster */
            Py_XDECREF(names);
        else
            core->names = names;
    }
    return core->names != NULL && PyTuple_Check(core->names);
}

/* The row of the only video with this name; -1 if there is none or several, or if it takes Python to tell. */
static int64_t find_name(Core *core, PyObject *name)
{
    Py_ssize_t size;
    if (!PyUnicode_Check(name) || !open_names(core))
        return -1;
    const char *text = PyUnicode_AsUTF8AndSize(name, &size);
    if (text == NULL || size == 0)
        return -1;
    const int64_t *column[4];
    for (int i = 0; i < 4; i++)
        column[i] = PyArray_DATA((PyArrayObject *)PyTuple_GetItem(core->names, i));
    const int64_t *bucket = column[0], *video = column[1], *offsets = column[2];
    const char *names = (const char *)column[3];
    int64_t count = PyArray_SIZE((PyArrayObject *)PyTuple_GetItem(core->names, 1)), found = -1;
    if (count == 0)
        return -1;
    int64_t number = crc32c((const uint8_t *)text, (size_t)size) % count;
    int64_t stop = number + 1 < count ? bucket[number + 1] : count;
    for (int64_t i = bucket[number]; i < stop; i++) {
        int64_t begin = offsets[video[i]], length = offsets[video[i] + 1] - begin;
        if (length == 0)
            return -1; /* its name may be its `filename` */
        if (length == size && memcmp(names + begin, text, (size_t)size) == 0) {
            if (found >= 0)
                return -1;
            found = video[i];
        }
    }
    return found;
}

/* ----------------------------------------------------------------------------------------------------- the type */

static PyObject *Core_annotation(PyObject *self, PyObject *row)
{
    long long number = PyLong_AsLongLong(row);
    return number == -1 && PyErr_Occurred() ? NULL : read_row((Core *)self, number);
}

static PyObject *Core_named(PyObject *self, PyObject *name)
{
    Core *core = (Core *)self;
    int64_t row = find_name(core, name);
    if (row >= 0)
        return read_row(core, row);
    return clear_error() ? Py_NewRef(Py_None) : NULL;
}

static PyObject *Core_find(PyObject *self, PyObject *name)
{
    int64_t row = find_name((Core *)self, name);
    if (row >= 0)
        return PyLong_FromLongLong(row);
    return clear_error() ? Py_NewRef(Py_None) : NULL;
}

/* The row of a key of a batch, a name or a position; -1 if Python has to read it. */
static int64_t row_of(Core *core, PyObject *key)
{
    if (PyUnicode_Check(key))
        return find_name(core, key);
    Py_ssize_t row = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (row < 0 && PyErr_Occurred() == NULL)
        row += core->videos;
    return row >= 0 && row < core->videos ? row : -1;
}

/* The annotations of a list of keys, to be filled by jobs. NULL: to be read by Python. */
static PyObject *build_annotations(Core *core, PyObject *keys, Jobs *jobs)
{
    Py_ssize_t count = PyList_Size(keys);
    PyObject *annotations = count < 0 ? NULL : PyList_New(count);
    for (Py_ssize_t i = 0; annotations && i < count; i++) {
        int64_t row = row_of(core, PyList_GetItem(keys, i));
        PyObject *annotation = row < 0 ? NULL : build_annotation(core, row, jobs);
        if (annotation == NULL || PyList_SetItem(annotations, i, annotation))
            Py_CLEAR(annotations);
    }
    return annotations;
}

/* The rows of a list of keys for which `build_annotations` has succeeded. */
static PyObject *rows_of(Core *core, PyObject *keys)
{
    Py_ssize_t count = PyList_Size(keys);
    PyObject *rows = PyList_New(count);
    for (Py_ssize_t i = 0; rows && i < count; i++) {
        PyObject *row = PyLong_FromLongLong(row_of(core, PyList_GetItem(keys, i)));
        if (row == NULL || PyList_SetItem(rows, i, row))
            Py_CLEAR(rows);
    }
    return rows;
}

static PyObject *Core_read(PyObject *self, PyObject *keys)
{
    Core *core = (Core *)self;
    Jobs jobs = {0};
    PyObject *annotations = build_annotations(core, keys, &jobs);
    if (annotations && jobs.missing) {
        Py_CLEAR(annotations);
        end_jobs(&jobs);
        jobs = (Jobs){.fetched = true};
        PyObject *rows = rows_of(core, keys);
        PyObject *fetched = rows ? PyObject_CallFunction(core->fetch, "O", rows) : NULL;
        Py_XDECREF(rows);
        Py_XDECREF(fetched);
        if (fetched == NULL)
            return NULL;
        annotations = build_annotations(core, keys, &jobs);
        if (annotations && jobs.missing)
            Py_CLEAR(annotations);
    }
    if (annotations) {
        /* In the order of the files, so that a chunk that two videos share is decoded once. */
        if (jobs.count)
            qsort(jobs.items, jobs.count, sizeof *jobs.items, compare_jobs);
        if (!run_jobs(&jobs))
            Py_CLEAR(annotations);
    }
    end_jobs(&jobs);
    if (annotations)
        return annotations;
    return clear_error() ? Py_NewRef(Py_None) : NULL;
}

static PyObject *Core_close(PyObject *self, PyObject *Py_UNUSED(none))
{
    Core *core = (Core *)self;
    for (int64_t i = 0; i < core->array_count; i++)
        for (int64_t j = 0; j < core->arrays[i].known; j++)
            if (core->arrays[i].shards[j])
                unmap(core->arrays[i].shards[j]);
    Py_RETURN_NONE;
}

/* ("compiled.py" describes nodes and arrays, and keeps the rules: columns have their types and lengths, arrays at most
 * MAX_AXES axes.) */
static const void *column_data(PyObject *column)
{
    return PyArray_DATA((PyArrayObject *)column);
}

static bool make_node(Core *core, PyObject *spec, Node *node);

static bool make_children(Core *core, PyObject *specs, Node *node)
{
    node->count = (int)PyList_Size(specs);
    node->children = calloc((size_t)node->count + 1, sizeof *node->children);
    bool made = node->children != NULL;
    for (int i = 0; made && i < node->count; i++)
        made = make_node(core, PyList_GetItem(specs, i), &node->children[i]);
    return made;
}

/* (CALL, function), (CONSTANT, value), (TEXT, offsets, bytes), (INT, values), (FLOAT, values), (TUPLE, nodes),
 * (DICT, nodes, keys), (ARRAY, [length of each ragged axis], number of the array, first rows) */
static bool make_node(Core *core, PyObject *spec, Node *node)
{
    PyObject *value, *more = NULL, *first = NULL;
    int kind;
    if (!PyArg_ParseTuple(spec, "iO|OO", &kind, &value, &more, &first))
        return false;
    node->kind = (Kind)kind;
    node->object = node->kind == DICT ? more : value;
    if (node->kind == TUPLE || node->kind == DICT)
        return make_children(core, value, node);
    if (node->kind == TEXT || node->kind == INT)
        node->first = column_data(value);
    if (node->kind == TEXT || node->kind == FLOAT)
        node->data = column_data(node->kind == TEXT ? more : value);
    if (node->kind != ARRAY)
        return true;
    node->first = column_data(first);
    node->array = &core->arrays[PyLong_AsLong(more)];
    node->count = (int)PyList_Size(value);
    node->lengths = calloc((size_t)node->count + 1, sizeof *node->lengths);
    for (int i = 0; node->lengths && i < node->count; i++)
        node->lengths[i] = column_data(PyList_GetItem(value, i));
    return node->lengths != NULL;
}

/* (dtype, trailing axes, bytes of a row, rows of a chunk, rows of a shard, coding, whether to map, whether to check
 * always, function that opens a shard) */
static bool make_array(PyObject *spec, Array *array, bool remote)
{
    PyObject *trailing;
    long long row_bytes, chunk_rows, shard_rows;
    int coding, mapped, always;
    if (!PyArg_ParseTuple(spec, "OOLLLippO", &array->dtype, &trailing, &row_bytes, &chunk_rows, &shard_rows, &coding,
                          &mapped, &always, &array->open))
        return false;
    array->axes = (int)PyTuple_Size(trailing);
    array->shard_rows = shard_rows;
    array->mapped = mapped;
    array->remote = remote;
    array->encoding = (Encoding){
        .coding = (Coding)coding,
        .always = always,
        .item_bytes = PyDataType_ELSIZE(array->dtype),
        .row_bytes = row_bytes,
        .chunk_rows = chunk_rows,
        .chunk_bytes = row_bytes * chunk_rows,
        .decoded_chunk = -1,
    };
    for (int i = 0; i < array->axes; i++)
        array->trailing[i] = PyLong_AsSsize_t(PyTuple_GetItem(trailing, i));
    return PyErr_Occurred() == NULL;
}

static PyObject *Core_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(options))
{
    PyObject *layouts, *arrays, *layout, *fallback, *load_names, *fetch, *ready;
    long long group_rows;
    if (!PyArg_ParseTuple(args, "O!O!O!OOOOL", &PyList_Type, &layouts, &PyList_Type, &arrays, &PyArray_Type, &layout,
                          &fallback, &load_names, &fetch, &ready, &group_rows))
        return NULL;
    Core *core = (Core *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (core == NULL)
        return NULL;
    core->kept = Py_NewRef(args);
    core->fallback = fallback;
    core->load_names = load_names;
    core->fetch = fetch;
    core->layout = column_data(layout);
    core->ready = ready == Py_None ? NULL : column_data(ready);
    core->group_rows = group_rows;
    core->videos = PyArray_SIZE((PyArrayObject *)layout);
    core->layouts = calloc((size_t)PyList_Size(layouts) + 1, sizeof *core->layouts);
    core->arrays = calloc((size_t)PyList_Size(arrays) + 1, sizeof *core->arrays);
    bool made = core->layouts && core->arrays;
    for (int i = 0; made && i < PyList_Size(arrays); i++)
        made = make_array(PyList_GetItem(arrays, i), &core->arrays[core->array_count++], fetch != Py_None);
    for (int i = 0; made && i < PyList_Size(layouts); i++)
        made = make_node(core, PyList_GetItem(layouts, i), &core->layouts[core->layout_count++]);
    if (made)
        return (PyObject *)core;
    Py_DECREF(core);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static void free_node(Node *node)
{
    if (node->kind == TUPLE || node->kind == DICT)
        for (int i = 0; i < node->count; i++)
            free_node(&node->children[i]);
    free(node->children);
}

static void Core_dealloc(PyObject *self)
{
    Core *core = (Core *)self;
    for (int64_t i = 0; i < core->array_count; i++) {
        Array *array = &core->arrays[i];
        for (int64_t j = 0; j < array->known; j++)
            for (Shard *shard = array->shards[j], *older; shard; shard = older) {
                older = shard->older;
                unmap(shard);
                Py_DECREF(shard->opened);
                free(shard);
            }
        free(array->shards);
        free(array->encoding.decoded);
    }
    for (int64_t i = 0; i < core->layout_count; i++)
        free_node(&core->layouts[i]);
    free(core->arrays);
    free(core->layouts);
    Py_XDECREF(core->names);
    Py_XDECREF(core->kept);
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef core_methods[] = {
    {"annotation", Core_annotation, METH_O, "The annotation of the video at a row."},
    {"find", Core_find, METH_O, "The row of the only video with a name; None if Python has to look for it."},
    {"named", Core_named, METH_O, "The annotation of the only video with a name; None if Python has to look for it."},
    {"read", Core_read, METH_O, "The annotations of a list of rows and names; None if Python has to read them."},
    {"close", Core_close, METH_NOARGS, "Unmap the files; they are mapped again when they are read."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot core_slots[] = {
    {Py_tp_new, Core_new},
    {Py_tp_dealloc, Core_dealloc},
    {Py_tp_methods, core_methods},
    {0, NULL},
};

static PyType_Spec core_spec = {"skelstore.read.core.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT, core_slots};

/* --------------------------------------------------------------------------------------------------- the module */

static PyObject *use_blosc(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path, *coded, *chunk;
    PyObject *coded_bytes, *chunk_bytes;
    if (!PyArg_ParseTuple(args, "zSS", &path, &coded_bytes, &chunk_bytes))
        return NULL;
    coded = PyBytes_AsString(coded_bytes);
    chunk = PyBytes_AsString(chunk_bytes);
    Py_ssize_t size = PyBytes_Size(chunk_bytes);
    char decoded[256];
    void *library = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
    void *symbol = library ? dlsym(library, "blosc_decompress_ctx") : NULL;
    memcpy(&blosc_decompress, &symbol, sizeof symbol);
    if (symbol && (size != sizeof decoded || blosc_decompress(coded, decoded, sizeof decoded, 1) != size ||
                   memcmp(decoded, chunk, sizeof decoded)))
        blosc_decompress = NULL;
    return PyBool_FromLong(blosc_decompress != NULL);
}

static PyObject *checksum(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *data;
    int portable;
    if (!PyArg_ParseTuple(args, "Sp", &data, &portable))
        return NULL;
    const uint8_t *bytes = (const uint8_t *)PyBytes_AsString(data);
    size_t size = (size_t)PyBytes_Size(data);
    return PyLong_FromUnsignedLong(portable ? portable_crc32c(bytes, size) : crc32c(bytes, size));
}

static PyMethodDef module_methods[] = {
    {"use_blosc", use_blosc, METH_VARARGS, "Take blosc's decoder from a library, if it decodes a chunk."},
    {"crc32c", checksum, METH_VARARGS, "CRC-32C of bytes, by the portable code if the second argument is true."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "core", NULL, -1, module_methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_core(void)
{
    choose_crc32c();
    import_array();
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&core_spec) : NULL;
    if (type == NULL || PyModule_AddObjectRef(made, "Core", type))
        Py_CLEAR(made);
    Py_XDECREF(type);
    return made;
}
