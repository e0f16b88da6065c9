/* The compiled form of vcp_core.video.resize and colour: it gives the same bytes as the NumPy form, and is faster.
 *
 * Both passes of the resize read only the taps whose weight is not zero. All sums are exact, so their order cannot
 * change a digit: weights are multiples of 2**-16 and sum to 1, so a sum over 16-bit pixels stays below 2**32,
 * which uint32 holds, and a sum of the second pass below 2**48, which a double holds. The colour conversion is a
 * fixed order of double operations. setup.py forbids the compiler to fuse a product and a sum into one operation,
 * which would round differently.
 *
 * The module uses Python's stable ABI, so one wheel serves Python 3.11 and later.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Where these do not hold, the bytes could differ. The build then fails, and NumPy does the work (setup.py). */
#if FLT_EVAL_METHOD != 0 || defined(__FAST_MATH__)
#error "doubles must be rounded after every operation"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pixels of two bytes are read as little-endian numbers"
#endif

/* With glibc on x86-64, the loader picks the form for the machine's processor, so one wheel serves old and new. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#elif defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

enum { YUV, RGB, GREY };
enum { ROWS = 4 }; /* of the result that are made together */

typedef double Octet __attribute__((vector_size(ROWS * sizeof(double)), aligned(sizeof(double))));

/* Pixel y of a resized column is the sum over k of weights[k * size + y] times source pixel first[y] + k. */
typedef struct {
    const int32_t *first; /* (size,) */
    const double *weights; /* (taps, size), whole numbers from 0 to 2**16 */
    Py_ssize_t size, taps;
} Axis;

typedef struct {
    const Py_buffer *pixels; /* (rows, columns), 1 or 2 bytes a pixel */
    Axis down, across;
} Plane;

/* Numbers of the colour conversion, in the order of vcp_core.video.colour.Colour. They are trusted. */
typedef struct {
    double scale, black, gain, middle, unit, red_v, blue_u, green_u, green_v;
} Colour;

FOR_EACH_CPU static void add_bytes(uint32_t *restrict sums, const uint8_t *restrict row, uint32_t weight, Py_ssize_t n)
{
    for (Py_ssize_t x = 0; x < n; x++)
        sums[x] += weight * row[x];
}

FOR_EACH_CPU static void add_words(uint32_t *restrict sums, const uint16_t *restrict row, uint32_t weight, Py_ssize_t n)
{
    for (Py_ssize_t x = 0; x < n; x++)
        sums[x] += weight * row[x];
}

/* Rows of a block lie side by side, so that the second pass reads neighbours instead of gathering its operands. */
FOR_EACH_CPU static void interleave_rows(Octet *restrict block, const uint32_t *restrict sums, Py_ssize_t n)
{
    for (Py_ssize_t x = 0; x < n; x++)
        for (int r = 0; r < ROWS; r++)
            block[x][r] = (double)(int32_t)(sums[r * n + x] ^ 0x80000000u) + 0x1p31;
}

FOR_EACH_CPU static void resize_block(Octet *restrict out, const Octet *restrict block, const Axis *across)
{
    for (Py_ssize_t x = 0; x < across->size; x++) {
        const Octet *source = block + across->first[x];
        Octet sum = source[0] * across->weights[x];
        for (Py_ssize_t k = 1; k < across->taps; k++)
            sum += source[k] * across->weights[k * across->size + x];
        out[x] = sum * 0x1p-32;
    }
}

/* Round to the nearest integer, halves to even, as numpy.rint does, and clip to a byte. A double near 1.5 * 2**52 has
 * no room for a fraction. */
static inline uint8_t to_byte(double value)
{
    const int32_t whole = (int32_t)((value + 0x1.8p52) - 0x1.8p52);
    return (uint8_t)(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

FOR_EACH_CPU static void colour_block(uint8_t *restrict rgb, const double *restrict rows, Py_ssize_t n, int kind,
                                    const Colour *colour)
{
    const Colour c = *colour;
    const double *restrict y = rows, *restrict u = rows + n, *restrict v = rows + 2 * n;
    uint8_t *restrict red = rgb, *restrict green = rgb + n, *restrict blue = rgb + 2 * n;
    if (kind == YUV)
        for (Py_ssize_t x = 0; x < n; x++) {
            const double light = (y[x] * c.scale - c.black) * c.gain;
            const double from_u = (u[x] - c.middle) * c.unit, from_v = (v[x] - c.middle) * c.unit;
            red[x] = to_byte(light + from_v * c.red_v);
            green[x] = to_byte(light - from_u * c.green_u - from_v * c.green_v);
            blue[x] = to_byte(light + from_u * c.blue_u);
        }
    else
        for (Py_ssize_t x = 0; x < (kind == RGB ? 3 : 1) * n; x++)
            rgb[x] = to_byte((rows[x] * c.scale - c.black) * c.gain);
}

/* Write rows [y, y + rows) of the result from a block. */
static void write_rows(uint8_t *restrict out, const uint8_t *restrict rgb, Py_ssize_t width, int rows, int kind)
{
    const Py_ssize_t n = width * ROWS;
    const uint8_t *green = kind == GREY ? rgb : rgb + n, *blue = kind == GREY ? rgb : rgb + 2 * n;
    for (int r = 0; r < rows; r++)
        for (Py_ssize_t x = 0; x < width; x++) {
            *out++ = rgb[x * ROWS + r];
            *out++ = green[x * ROWS + r];
            *out++ = blue[x * ROWS + r];
        }
}

/* Resize rows [y, y + rows) of the result, which lie side by side in `out`. */
static void resize_rows(Octet *restrict out, const Plane *plane, Py_ssize_t y, int rows, uint32_t *restrict sums,
                        Octet *restrict block)
{
    const Axis *down = &plane->down;
    const Py_ssize_t n = plane->pixels->shape[1];
    memset(sums, 0, (size_t)(ROWS * n) * sizeof *sums);
    for (int r = 0; r < rows; r++)
        for (Py_ssize_t k = 0; k < down->taps; k++) {
            const uint32_t weight = (uint32_t)down->weights[k * down->size + y + r];
            const char *row = (const char *)plane->pixels->buf + (down->first[y + r] + k) * plane->pixels->strides[0];
            if (plane->pixels->itemsize == 1)
                add_bytes(sums + r * n, (const uint8_t *)row, weight, n);
            else
                add_words(sums + r * n, (const uint16_t *)(const void *)row, weight, n);
        }
    interleave_rows(block, sums, n);
    resize_block(out, block, &plane->across);
}

/* One call's arguments, and the buffers that it must give back. */
typedef struct {
    Py_buffer held[16];
    int num_held;
    Plane planes[3];
    int num_planes;
    Py_buffer *out;
} Call;

static Py_buffer *hold(Call *call, PyObject *object, int flags)
{
    Py_buffer *view = &call->held[call->num_held];
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return NULL;
    call->num_held++;
    return view;
}

static void release(Call *call)
{
    while (call->num_held > 0)
        PyBuffer_Release(&call->held[--call->num_held]);
}

/* Whether the elements of a buffer have this type, in struct's letters. Native order may be written or not. */
static int is_of(const Py_buffer *view, char letter)
{
    const char *format = view->format ? view->format : "B";
    if (*format == '<' || *format == '=' || *format == '@')
        format++;
    return format[0] == letter && format[1] == '\0';
}

/* Read an axis (first, weights) that resizes `available` source pixels to `size`. Every tap must lie inside. */
static int read_axis(Call *call, PyObject *first, PyObject *weights, Py_ssize_t available, Py_ssize_t size, Axis *axis)
{
    const Py_buffer *starts = hold(call, first, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
    const Py_buffer *taps = starts ? hold(call, weights, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) : NULL;
    if (!taps)
        return -1;
    if (!is_of(starts, 'i') || starts->len != size * (Py_ssize_t)sizeof(int32_t) || !is_of(taps, 'd') ||
        taps->ndim != 2 || taps->shape[0] < 1 || taps->shape[1] != size) {
        PyErr_SetString(PyExc_ValueError, "an axis is (first, weights): int32 (size,), float64 (taps, size)");
        return -1;
    }
    *axis = (Axis){starts->buf, taps->buf, size, taps->shape[0]};
    for (Py_ssize_t i = 0; i < size; i++)
        if (axis->first[i] < 0 || axis->first[i] + axis->taps > available) {
            PyErr_SetString(PyExc_ValueError, "a tap lies outside the plane");
            return -1;
        }
    for (Py_ssize_t i = 0; i < size * axis->taps; i++)
        if (!(axis->weights[i] >= 0 && axis->weights[i] <= 65536)) {
            PyErr_SetString(PyExc_ValueError, "a weight is not from 0 to 65536");
            return -1;
        }
    return 0;
}

static int read_plane(Call *call, PyObject *item, Plane *plane)
{
    PyObject *pixels, *rows, *row_weights, *columns, *column_weights;
    if (!PyArg_ParseTuple(item, "OOOOO", &pixels, &rows, &row_weights, &columns, &column_weights))
        return -1;
    plane->pixels = hold(call, pixels, PyBUF_STRIDED_RO | PyBUF_FORMAT);
    if (!plane->pixels)
        return -1;
    const Py_buffer *view = plane->pixels;
    if (view->ndim != 2 || !(is_of(view, 'B') || is_of(view, 'H')) || view->strides[1] != view->itemsize ||
        ((uintptr_t)view->buf | (uintptr_t)view->strides[0]) % (uintptr_t)view->itemsize != 0) {
        PyErr_SetString(PyExc_ValueError, "a plane is uint8 or uint16, (rows, columns), with rows without gaps");
        return -1;
    }
    if (read_axis(call, rows, row_weights, view->shape[0], call->out->shape[0], &plane->down) < 0)
        return -1;
    return read_axis(call, columns, column_weights, view->shape[1], call->out->shape[1], &plane->across);
}

static int read_call(Call *call, PyObject *args, int *kind, Colour *colour)
{
    PyObject *out, *planes;
    if (!PyArg_ParseTuple(args, "OO!i(ddddddddd)", &out, &PyTuple_Type, &planes, kind, &colour->scale, &colour->black,
                          &colour->gain, &colour->middle, &colour->unit, &colour->red_v, &colour->blue_u,
                          &colour->green_u, &colour->green_v))
        return -1;
    call->out = hold(call, out, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
    if (!call->out)
        return -1;
    call->num_planes = (int)PyTuple_Size(planes);
    if (call->out->ndim != 3 || !is_of(call->out, 'B') || call->out->shape[2] != 3 || *kind < YUV || *kind > GREY ||
        call->num_planes != (*kind == GREY ? 1 : 3)) {
        PyErr_SetString(PyExc_ValueError, "the result is uint8 (H, W, 3), of 3 planes, or of 1 grey plane");
        return -1;
    }
    for (int i = 0; i < call->num_planes; i++)
        if (read_plane(call, PyTuple_GetItem(planes, i), &call->planes[i]) < 0)
            return -1;
    return 0;
}

static int convert(const Call *call, int kind, const Colour *colour)
{
    const Py_ssize_t height = call->out->shape[0], width = call->out->shape[1];
    Py_ssize_t widest = 0;
    for (int i = 0; i < call->num_planes; i++)
        if (call->planes[i].pixels->shape[1] > widest)
            widest = call->planes[i].pixels->shape[1];
    Octet *block = malloc((size_t)(widest + 3 * width) * sizeof *block);
    uint32_t *sums = malloc((size_t)(widest * ROWS) * sizeof *sums);
    uint8_t *rgb = malloc((size_t)(3 * width * ROWS) * sizeof *rgb);
    const int has_memory = block && sums && rgb;
    for (Py_ssize_t y = 0; has_memory && y < height; y += ROWS) {
        Octet *resized = block + widest;
        const int rows = height - y < ROWS ? (int)(height - y) : ROWS;
        for (int i = 0; i < call->num_planes; i++)
            resize_rows(resized + i * width, &call->planes[i], y, rows, sums, block);
        colour_block(rgb, (const double *)resized, width * ROWS, kind, colour);
        write_rows((uint8_t *)call->out->buf + y * width * 3, rgb, width, rows, kind);
    }
    free(block);
    free(sums);
    free(rgb);
    return has_memory ? 0 : -1;
}

static PyObject *planes_to_rgb(PyObject *module, PyObject *args)
{
    (void)module;
    Call call = {.num_held = 0};
    Colour colour;
    int kind, failed;
    if (read_call(&call, args, &kind, &colour) < 0) {
        release(&call);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS /* several threads decode at once */
    failed = convert(&call, kind, &colour);
    Py_END_ALLOW_THREADS
    release(&call);
    if (failed)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"planes_to_rgb", planes_to_rgb, METH_VARARGS,
     "planes_to_rgb(out, planes, kind, colour): resize planes and convert them into `out`, uint8 (H, W, 3)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "The compiled form of vcp_core.video.resize and colour.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&definition);
}
