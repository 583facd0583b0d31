/* The questions that are asked of PDFium hundreds of times a page, asked in one call a page.
 *
 * Each function does just what its twin in Python does (characters.py, drawing.py), which is what
 * runs where no compiler was at hand, and what the tests hold this against. Here a question costs
 * what PDFium takes for it, and not ten times that for the crossing from Python.
 *
 * PDFium is not linked: `bind` takes the addresses of its functions from the library that pypdfium2
 * has loaded.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

typedef struct {
    float left, top, right, bottom;
} Rect;

typedef struct {
    float a, b, c, d, e, f;
} Matrix;

typedef struct {
    double x0, y0, x1, y1;
} Box;

/* How user space maps to the page as it is shown: see geometry.py. */
typedef struct {
    double left, bottom, right, top;
    int rotation;
} Space;

static int (*char_box)(void *, int, Rect *);
static double (*char_size)(void *, int);
static int (*char_matrix)(void *, int, Matrix *);
static int (*char_ink)(void *, int, double *, double *, double *, double *);
static int (*char_origin)(void *, int, double *, double *);
static int (*char_index)(void *, int);
static void *(*char_object)(void *, int);
static int (*text_render_mode)(void *);
static int (*path_mode)(void *, int *, int *);
static int (*fill_colour)(void *, unsigned int *, unsigned int *, unsigned int *, unsigned int *);
static void *(*object_font)(void *);
static int (*object_count)(void *);
static void *(*object_at)(void *, int);
static int (*object_kind)(void *);
static int (*object_bounds)(void *, float *, float *, float *, float *);
static int (*object_matrix)(void *, Matrix *);
static int (*form_object_count)(void *);
static void *(*form_object_at)(void *, unsigned long);
static int (*segment_count)(void *);
static void *(*segment_at)(void *, int);
static int (*segment_kind)(void *);
static int (*segment_point)(void *, float *, float *);

static const struct {
    const char *name;
    void **function;
} FUNCTIONS[] = {
    {"FPDFText_GetLooseCharBox", (void **)&char_box},
    {"FPDFText_GetFontSize", (void **)&char_size},
    {"FPDFText_GetMatrix", (void **)&char_matrix},
    {"FPDFText_GetCharBox", (void **)&char_ink},
    {"FPDFText_GetCharOrigin", (void **)&char_origin},
    {"FPDFText_GetCharIndexFromTextIndex", (void **)&char_index},
    {"FPDFText_GetTextObject", (void **)&char_object},
    {"FPDFTextObj_GetTextRenderMode", (void **)&text_render_mode},
    {"FPDFPath_GetDrawMode", (void **)&path_mode},
    {"FPDFPageObj_GetFillColor", (void **)&fill_colour},
    {"FPDFTextObj_GetFont", (void **)&object_font},
    {"FPDFPage_CountObjects", (void **)&object_count},
    {"FPDFPage_GetObject", (void **)&object_at},
    {"FPDFPageObj_GetType", (void **)&object_kind},
    {"FPDFPageObj_GetBounds", (void **)&object_bounds},
    {"FPDFPageObj_GetMatrix", (void **)&object_matrix},
    {"FPDFFormObj_CountObjects", (void **)&form_object_count},
    {"FPDFFormObj_GetObject", (void **)&form_object_at},
    {"FPDFPath_CountSegments", (void **)&segment_count},
    {"FPDFPath_GetPathSegment", (void **)&segment_at},
    {"FPDFPathSegment_GetType", (void **)&segment_kind},
    {"FPDFPathSegment_GetPoint", (void **)&segment_point},
};
enum { FUNCTION_COUNT = sizeof FUNCTIONS / sizeof *FUNCTIONS };

static PyObject *function_names(PyObject *module, PyObject *unused) {
    PyObject *names = PyTuple_New(FUNCTION_COUNT);
    for (int index = 0; names && index < FUNCTION_COUNT; index++) {
        PyObject *name = PyUnicode_FromString(FUNCTIONS[index].name);
        if (!name) {
            Py_DECREF(names);
            return NULL;
        }
        PyTuple_SET_ITEM(names, index, name);
    }
    return names;
}

static PyObject *bind(PyObject *module, PyObject *addresses) {
    void *found[FUNCTION_COUNT];
    if (!PyTuple_Check(addresses) || PyTuple_GET_SIZE(addresses) != FUNCTION_COUNT) {
        PyErr_SetString(PyExc_ValueError, "bind takes an address for each of function_names()");
        return NULL;
    }
    for (int index = 0; index < FUNCTION_COUNT; index++) {
        found[index] = PyLong_AsVoidPtr(PyTuple_GET_ITEM(addresses, index));
        if (!found[index]) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "%s has no address", FUNCTIONS[index].name);
            return NULL;
        }
    }
    for (int index = 0; index < FUNCTION_COUNT; index++)
        *FUNCTIONS[index].function = found[index];
    Py_RETURN_NONE;
}

static int is_bound(void) {
    if (segment_point)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "bind was not called");
    return 0;
}

static int read_space(PyObject *space, Space *result) {
    return PyArg_ParseTuple(space, "ddddi", &result->left, &result->bottom, &result->right,
                            &result->top, &result->rotation);
}

static Box shown_box(const Space *space, double left, double bottom, double right, double top) {
    switch (space->rotation) {
    case 0:
        return (Box){left - space->left, space->top - top, right - space->left,
                     space->top - bottom};
    case 1:
        return (Box){bottom - space->bottom, left - space->left, top - space->bottom,
                     right - space->left};
    case 2:
        return (Box){space->right - right, bottom - space->bottom, space->right - left,
                     top - space->bottom};
    default:
        return (Box){space->top - top, space->right - right, space->top - bottom,
                     space->right - left};
    }
}

/* Text: characters.py */

typedef struct {
    void *handle;
    int maps; /* whether positions in the text are not those of characters */
    Space space;
} Text;

static Box box_at(const Text *text, int index) {
    Rect rect = {0, 0, 0, 0};
    char_box(text->handle, index, &rect);
    return shown_box(&text->space, rect.left, rect.bottom, rect.right, rect.top);
}

static Box box_at_position(const Text *text, int position) {
    int index = text->maps ? char_index(text->handle, position) : position;
    return index < 0 ? (Box){0, 0, 0, 0} : box_at(text, index);
}

static int read_text(PyObject *handle, PyObject *maps, PyObject *space, Text *result) {
    result->handle = PyLong_AsVoidPtr(handle);
    result->maps = PyObject_IsTrue(maps);
    if (!result->handle && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "there is no text page at address 0");
    return !PyErr_Occurred() && is_bound() && read_space(space, &result->space);
}

static void *font_at(const Text *text, int index) {
    void *object = char_object(text->handle, index);
    return object ? object_font(object) : NULL;
}

/* How many characters of a line come before its text: a bullet, which may be small, and spaces. */
static int marker_length(PyObject *line) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(line);
    int marker = 1;
    if (length < 3 || Py_UNICODE_ISALNUM(PyUnicode_READ_CHAR(line, 0)))
        return 0;
    while (Py_UNICODE_ISSPACE(PyUnicode_READ_CHAR(line, marker)))
        marker++;
    return marker > 1 ? marker : 0;
}

/* Text, position and hyphen of a line, then what it measures: see Reading in characters.py. */
static PyObject *new_line(const Text *text, PyObject *line, int position, int hyphen) {
    const double row_step = 0.9, least_height = 0.7, most_height = 1.9;
    int marker = marker_length(line);
    int first = position + marker, last = position + (int)PyUnicode_GET_LENGTH(line) - 1;
    int turn = 0, broken = 0;
    if (text->maps) {
        first = char_index(text->handle, first);
        last = char_index(text->handle, last);
        if (first < 0 || last < first)
            Py_RETURN_NONE;
    }
    Box box = box_at(text, first);
    double height = box.y1 - box.y0;
    if (last != first) {
        Box end = box_at(text, last);
        double rise = end.y0 - box.y0;
        if (rise > 0.5 || rise < -0.5) {
            if (fabs(rise) > 2 * fmax(1.0, height) &&
                fabs(end.x0 - box.x0) < 2 * (box.x1 - box.x0) + 1) {
                turn = rise > 0 ? 1 : 3;
                height = box.x1 - box.x0;
                box.y0 = fmin(box.y0, end.y0);
                box.y1 = fmax(box.y1, end.y1);
            } else if (fabs(rise) > row_step * height) {
                broken = 1;
            }
        }
        box.x0 = fmin(box.x0, end.x0);
        box.x1 = fmax(box.x1, end.x1);
    }
    if (marker)
        box.x0 = fmin(box.x0, box_at_position(text, position).x0);
    double size = char_size(text->handle, first);
    if (!(least_height * size < height && height < most_height * size)) {
        Matrix matrix;
        if (char_matrix(text->handle, first, &matrix)) {
            double c = matrix.c, d = matrix.d;
            size *= sqrt(c * c + d * d);
        }
    }
    return Py_BuildValue("OiOdddddiOnn", line, position, hyphen ? Py_True : Py_False, box.x0,
                         box.y0, box.x1, box.y1, size, turn, broken ? Py_True : Py_False,
                         (Py_ssize_t)font_at(text, first), (Py_ssize_t)font_at(text, last));
}

static int is_hyphen(Py_UCS4 character) { return character == 0x02 || character == 0xfffe; }

static int ends_line(Py_UCS4 character) {
    return character == '\r' || character == '\n' || is_hyphen(character);
}

/* The characters from `begin` to `end` without the white space around them, which moves `begin`. */
static PyObject *stripped(PyObject *whole, Py_ssize_t *begin, Py_ssize_t end, int hyphen) {
    int kind = PyUnicode_KIND(whole);
    const void *data = PyUnicode_DATA(whole);
    while (*begin < end && Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, *begin)))
        ++*begin;
    if (hyphen) {
        PyObject *body = PyUnicode_Substring(whole, *begin, end);
        PyObject *line = body ? PyUnicode_FromFormat("%U-", body) : NULL;
        Py_XDECREF(body);
        return line;
    }
    while (end > *begin && Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end - 1)))
        end--;
    return PyUnicode_Substring(whole, *begin, end);
}

static int add_line(const Text *text, PyObject *whole, Py_ssize_t begin, Py_ssize_t end, int hyphen,
                    PyObject *found) {
    PyObject *line = stripped(whole, &begin, end, hyphen);
    if (!line)
        return 0;
    PyObject *measured = PyUnicode_GET_LENGTH(line)
                             ? new_line(text, line, (int)begin, hyphen)
                             : Py_NewRef(Py_None);
    Py_DECREF(line);
    int added = measured && (measured == Py_None || PyList_Append(found, measured) == 0);
    Py_XDECREF(measured);
    return added;
}

static PyObject *read_lines(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Text text;
    if (count != 4 || !PyUnicode_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "read_lines(handle, maps, space, text)");
        return NULL;
    }
    if (!read_text(args[0], args[1], args[2], &text))
        return NULL;
    PyObject *found = PyList_New(0);
    Py_ssize_t length = PyUnicode_GET_LENGTH(args[3]), begin = 0;
    int kind = PyUnicode_KIND(args[3]);
    const void *data = PyUnicode_DATA(args[3]);
    while (found && begin < length) {
        Py_ssize_t end = begin;
        while (end < length && !ends_line(PyUnicode_READ(kind, data, end)))
            end++;
        int hyphen = end < length && is_hyphen(PyUnicode_READ(kind, data, end));
        if ((end > begin || hyphen) && !add_line(&text, args[3], begin, end, hyphen, found))
            Py_CLEAR(found);
        begin = end + 1;
    }
    return found;
}

static int is_tuple_type(PyObject *type) {
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type);
}

/* A tuple of a subclass of tuple, such as a NamedTuple, with room for its items. */
static PyObject *new_tuple(PyObject *type, Py_ssize_t size) {
    return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
}

/* Puts numbers into a tuple from a place on; 0 when memory is short. */
static int set_floats(PyObject *tuple, Py_ssize_t place, const double *values, int count) {
    for (int index = 0; index < count; index++) {
        PyObject *value = PyFloat_FromDouble(values[index]);
        if (!value)
            return 0;
        PyTuple_SET_ITEM(tuple, place + index, value);
    }
    return 1;
}

static PyObject *new_word(const Text *text, PyObject *type, PyObject *line, Py_ssize_t begin,
                          Py_ssize_t end, int position) {
    Box box = box_at_position(text, position);
    if (end - begin > 1) {
        Box other = box_at_position(text, position + (int)(end - begin) - 1);
        box.x0 = fmin(box.x0, other.x0);
        box.y0 = fmin(box.y0, other.y0);
        box.x1 = fmax(box.x1, other.x1);
        box.y1 = fmax(box.y1, other.y1);
    }
    double corners[] = {box.x0, box.y0, box.x1, box.y1};
    PyObject *word = new_tuple(type, 6);
    if (!word)
        return NULL;
    PyObject *letters = PyUnicode_Substring(line, begin, end);
    PyObject *place = PyLong_FromLong(position);
    if (letters)
        PyTuple_SET_ITEM(word, 0, letters);
    if (place)
        PyTuple_SET_ITEM(word, 5, place);
    if (!letters || !place || !set_floats(word, 1, corners, 4)) {
        Py_DECREF(word);
        return NULL;
    }
    return word;
}

static int add_words(const Text *text, PyObject *type, PyObject *line, int position,
                     PyObject *found) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(line), begin = 0;
    int kind = PyUnicode_KIND(line);
    const void *data = PyUnicode_DATA(line);
    while (begin < length) {
        if (Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, begin))) {
            begin++;
            continue;
        }
        Py_ssize_t end = begin + 1;
        while (end < length && !Py_UNICODE_ISSPACE(PyUnicode_READ(kind, data, end)))
            end++;
        PyObject *word = new_word(text, type, line, begin, end, position + (int)begin);
        int failed = !word || PyList_Append(found, word) < 0;
        Py_XDECREF(word);
        if (failed)
            return 0;
        begin = end;
    }
    return 1;
}

/* Adds to a list what a piece of text holds, from its position on; `type` is what it is made of. */
typedef int (*AddPiece)(const Text *text, PyObject *type, PyObject *piece, int position,
                        PyObject *found);

static PyObject *from_spans(const Text *text, PyObject *type, PyObject *spans, AddPiece add) {
    PyObject *found = PyList_New(0);
    for (Py_ssize_t index = 0; found && index < PyList_GET_SIZE(spans); index++) {
        PyObject *piece;
        int position;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(spans, index), "Ui", &piece, &position) ||
            !add(text, type, piece, position, found)) {
            Py_DECREF(found);
            return NULL;
        }
    }
    return found;
}

static PyObject *find_words(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Text text;
    if (count != 5 || !PyList_Check(args[3]) || !is_tuple_type(args[4])) {
        PyErr_SetString(PyExc_TypeError, "find_words(handle, maps, space, spans, type)");
        return NULL;
    }
    if (!read_text(args[0], args[1], args[2], &text))
        return NULL;
    return from_spans(&text, args[4], args[3], add_words);
}

enum { NOTHING = 0x200b };

/* Box of a character's ink, its baseline, its size; 0 where PDFium does not know it. */
static void measure_ink(const Text *text, int index, double *values) {
    double left, right, bottom, top, x = 0, y = 0;
    if (index < 0 || !char_ink(text->handle, index, &left, &right, &bottom, &top))
        return;
    char_origin(text->handle, index, &x, &y);
    Box box = shown_box(&text->space, left, bottom, right, top);
    values[0] = box.x0, values[1] = box.y0, values[2] = box.x1, values[3] = box.y1;
    values[4] = shown_box(&text->space, x, y, x, y).y1;
}

static double em_at(const Text *text, int index) {
    Matrix matrix;
    if (index < 0 || !char_matrix(text->handle, index, &matrix))
        return 0;
    return char_size(text->handle, index) * hypot(matrix.c, matrix.d);
}

static int add_inks(const Text *text, PyObject *unused, PyObject *line, int position,
                    PyObject *found) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(line);
    void *last = NULL, *font = NULL;
    double size = 0;
    for (Py_ssize_t place = 0; place < length; place++) {
        Py_UCS4 character = PyUnicode_READ_CHAR(line, place);
        if (Py_UNICODE_ISSPACE(character) || character == NOTHING)
            continue;
        int at = position + (int)place, index = text->maps ? char_index(text->handle, at) : at;
        void *object = index < 0 ? NULL : char_object(text->handle, index);
        if (!object || object != last) {
            font = object ? object_font(object) : NULL;
            size = em_at(text, index);
            last = object;
        }
        double values[5] = {0, 0, 0, 0, 0};
        measure_ink(text, index, values);
        PyObject *ink = Py_BuildValue("Cddddddn", (int)character, values[0], values[1], values[2],
                                      values[3], values[4], size, (Py_ssize_t)font);
        int failed = !ink || PyList_Append(found, ink) < 0;
        Py_XDECREF(ink);
        if (failed)
            return 0;
    }
    return 1;
}

static PyObject *read_inks(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Text text;
    if (count != 4 || !PyList_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "read_inks(handle, maps, space, spans)");
        return NULL;
    }
    if (!read_text(args[0], args[1], args[2], &text))
        return NULL;
    return from_spans(&text, NULL, args[3], add_inks);
}

/* Drawings: drawing.py */

enum { TEXT = 1, PATH = 2, IMAGE = 3, FORM = 5 };
enum { LINE_TO = 0, CURVE_TO = 1, MOVE_TO = 2 };
enum {
    MAX_OBJECTS = 20000,
    MAX_FORM_OBJECTS = 600,
    MAX_EDGES = 6000,
    MAX_SEGMENTS = 400,
    MAX_FORM_SEGMENTS = 24,
    MAX_CURVES = 300,
    BOX_SEGMENTS = 6,
};
static const double THIN = 3.0, LEAST_FIGURE = 20.0, LEAST_BOX = 5.0;

typedef struct {
    Space space;
    PyObject *edge_type, *fill_type;
    PyObject *horizontal, *vertical, *figures, *images, *boxes;
    int place; /* of the object that is added, among those of the page */
} Drawing;

static int add_tuple(PyObject *list, PyObject *type, const double *values, int count) {
    PyObject *tuple = new_tuple(type, count);
    int added = tuple && set_floats(tuple, 0, values, count) && PyList_Append(list, tuple) == 0;
    Py_XDECREF(tuple);
    return added;
}

static int add_edge(const Drawing *drawing, PyObject *list, double place, double start,
                    double end) {
    double values[] = {place, start, end};
    return add_tuple(list, drawing->edge_type, values, 3);
}

static int add_box(const Drawing *drawing, Box box) {
    int wide = box.x1 - box.x0 > THIN, high = box.y1 - box.y0 > THIN;
    PyObject *across = drawing->horizontal, *down = drawing->vertical;
    if (wide && high)
        return add_edge(drawing, across, box.y0, box.x0, box.x1) &&
               add_edge(drawing, across, box.y1, box.x0, box.x1) &&
               add_edge(drawing, down, box.x0, box.y0, box.y1) &&
               add_edge(drawing, down, box.x1, box.y0, box.y1);
    if (wide)
        return add_edge(drawing, across, (box.y0 + box.y1) / 2, box.x0, box.x1);
    if (high)
        return add_edge(drawing, down, (box.x0 + box.x1) / 2, box.y0, box.y1);
    return 1;
}

static int bounds_of(void *object, double *left, double *bottom, double *right, double *top) {
    float l, b, r, t;
    if (!object_bounds(object, &l, &b, &r, &t))
        return 0;
    *left = l, *bottom = b, *right = r, *top = t;
    return 1;
}

static int add_large_box(const Drawing *drawing, PyObject *list, void *object) {
    double left, bottom, right, top;
    if (!bounds_of(object, &left, &bottom, &right, &top))
        return 1;
    Box box = shown_box(&drawing->space, left, bottom, right, top);
    if (box.x1 - box.x0 <= LEAST_FIGURE || box.y1 - box.y0 <= LEAST_FIGURE)
        return 1;
    double values[] = {box.x0, box.y0, box.x1, box.y1};
    return add_tuple(list, (PyObject *)&PyTuple_Type, values, 4);
}

static int add_curve(const Drawing *drawing, void *path, const Matrix *outer) {
    if (outer || PyList_GET_SIZE(drawing->figures) >= MAX_CURVES)
        return 1;
    return add_large_box(drawing, drawing->figures, path);
}

static void transform(const Matrix *matrix, double *x, double *y) {
    double from_x = *x, from_y = *y;
    *x = matrix->a * from_x + matrix->c * from_y + matrix->e;
    *y = matrix->b * from_x + matrix->d * from_y + matrix->f;
}

static int add_subpath(const Drawing *drawing, int points, double left, double bottom,
                       double right, double top) {
    return points < 2 || add_box(drawing, shown_box(&drawing->space, left, bottom, right, top));
}

static int add_subpaths(const Drawing *drawing, void *path, int count, const Matrix *outer) {
    Matrix inner = {1, 0, 0, 1, 0, 0};
    double left = 0, bottom = 0, right = 0, top = 0, last_x = 0, last_y = 0;
    int points = 0;
    object_matrix(path, &inner);
    for (int index = 0; index < count; index++) {
        void *segment = segment_at(path, index);
        int kind = segment_kind(segment);
        if (kind == CURVE_TO)
            return add_curve(drawing, path, outer);
        float from_x = 0, from_y = 0;
        segment_point(segment, &from_x, &from_y);
        double x = from_x, y = from_y;
        transform(&inner, &x, &y);
        if (outer)
            transform(outer, &x, &y);
        if (kind == MOVE_TO) {
            if (!add_subpath(drawing, points, left, bottom, right, top))
                return 0;
            points = 0;
        } else if (points && fabs(x - last_x) > 1 && fabs(y - last_y) > 1) {
            return add_curve(drawing, path, outer);
        }
        left = points ? fmin(left, x) : x;
        right = points ? fmax(right, x) : x;
        bottom = points ? fmin(bottom, y) : y;
        top = points ? fmax(top, y) : y;
        last_x = x, last_y = y;
        points++;
    }
    return add_subpath(drawing, points, left, bottom, right, top);
}

/* Adds a short path of a form if its box is that of a line along an axis: 1; 0 if it is none. */
static int add_rule(const Drawing *drawing, void *path, const Matrix *outer, int *added) {
    double left, bottom, right, top;
    *added = 0;
    if (outer->b || outer->c || !bounds_of(path, &left, &bottom, &right, &top))
        return 1;
    double a = outer->a, d = outer->d, e = outer->e, f = outer->f;
    double xs[] = {a * left + e, a * right + e}, ys[] = {d * bottom + f, d * top + f};
    Box box = shown_box(&drawing->space, fmin(xs[0], xs[1]), fmin(ys[0], ys[1]),
                        fmax(xs[0], xs[1]), fmax(ys[0], ys[1]));
    if (box.x1 - box.x0 > THIN && box.y1 - box.y0 > THIN)
        return 1;
    *added = 1;
    return add_box(drawing, box);
}

static int add_fill(const Drawing *drawing, Box box) {
    if (box.x1 - box.x0 <= LEAST_FIGURE || box.y1 - box.y0 <= LEAST_BOX)
        return 1;
    double values[] = {box.x0, box.y0, box.x1, box.y1};
    PyObject *tuple = new_tuple(drawing->fill_type, 5), *place = PyLong_FromLong(drawing->place);
    if (!tuple || !place) {
        Py_XDECREF(tuple);
        Py_XDECREF(place);
        return 0;
    }
    PyTuple_SET_ITEM(tuple, 0, place);
    int added = set_floats(tuple, 1, values, 4) && PyList_Append(drawing->boxes, tuple) == 0;
    Py_DECREF(tuple);
    return added;
}

static int add_path(const Drawing *drawing, void *path, const Matrix *outer) {
    int count = segment_count(path), added = 0;
    if (count <= BOX_SEGMENTS && !outer) {
        double left, bottom, right, top;
        if (!bounds_of(path, &left, &bottom, &right, &top))
            return 1;
        Box box = shown_box(&drawing->space, left, bottom, right, top);
        return add_box(drawing, box) && add_fill(drawing, box);
    }
    if (count > (outer ? MAX_FORM_SEGMENTS : MAX_SEGMENTS))
        return 1;
    if (count <= BOX_SEGMENTS && !add_rule(drawing, path, outer, &added))
        return 0;
    return added || add_subpaths(drawing, path, count, outer);
}

static int add_form(const Drawing *drawing, void *form) {
    Matrix outer = {1, 0, 0, 1, 0, 0};
    int count = form_object_count(form), holds_drawing = 0;
    object_matrix(form, &outer);
    for (int index = 0; index < count && index < MAX_FORM_OBJECTS; index++) {
        void *item = form_object_at(form, (unsigned long)index);
        int kind = object_kind(item);
        holds_drawing |= kind != TEXT;
        if (kind == PATH && count <= MAX_FORM_OBJECTS && !add_path(drawing, item, &outer))
            return 0;
    }
    return !holds_drawing || add_large_box(drawing, drawing->figures, form);
}

static int add_object(const Drawing *drawing, void *item) {
    switch (object_kind(item)) {
    case PATH:
        return add_path(drawing, item, NULL);
    case IMAGE:
        return add_large_box(drawing, drawing->images, item);
    case FORM:
        return add_form(drawing, item);
    default:
        return 1;
    }
}

static PyObject *read_drawing(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Drawing drawing;
    if (count != 4 || !is_tuple_type(args[2]) || !is_tuple_type(args[3])) {
        PyErr_SetString(PyExc_TypeError, "read_drawing(page, space, edge_type, fill_type)");
        return NULL;
    }
    void *page = PyLong_AsVoidPtr(args[0]);
    if (!is_bound() || PyErr_Occurred() || !read_space(args[1], &drawing.space))
        return NULL;
    drawing.edge_type = args[2];
    drawing.fill_type = args[3];
    PyObject *found = Py_BuildValue("([][][][][])");
    if (!found)
        return NULL;
    drawing.horizontal = PyTuple_GET_ITEM(found, 0);
    drawing.vertical = PyTuple_GET_ITEM(found, 1);
    drawing.figures = PyTuple_GET_ITEM(found, 2);
    drawing.images = PyTuple_GET_ITEM(found, 3);
    drawing.boxes = PyTuple_GET_ITEM(found, 4);
    int objects = object_count(page);
    for (int index = 0; index < objects && index < MAX_OBJECTS; index++) {
        drawing.place = index;
        if (!add_object(&drawing, object_at(page, index))) {
            Py_DECREF(found);
            return NULL;
        }
        if (PyList_GET_SIZE(drawing.horizontal) + PyList_GET_SIZE(drawing.vertical) > MAX_EDGES)
            break;
    }
    return found;
}

/* How text is painted: hidden.py */

enum { INVISIBLE_MODE = 3, PAPER = 245, LEAST_ALPHA = 8, INVISIBLE = 1, WHITE = 2 };

static Py_ssize_t style_of(void *item) {
    unsigned int red, green, blue, alpha;
    Py_ssize_t style = text_render_mode(item) == INVISIBLE_MODE ? INVISIBLE : 0;
    if (fill_colour(item, &red, &green, &blue, &alpha) &&
        ((red >= PAPER && green >= PAPER && blue >= PAPER) || alpha < LEAST_ALPHA))
        style |= WHITE;
    return style;
}

/* What `ask` says of the text object at each position; 0 where there is none. */
static PyObject *ask_objects(PyObject *const *args, Py_ssize_t count,
                             Py_ssize_t (*ask)(void *)) {
    if (count != 3 || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "it takes handle, maps, positions");
        return NULL;
    }
    void *handle = PyLong_AsVoidPtr(args[0]);
    int maps = PyObject_IsTrue(args[1]);
    if (!is_bound() || PyErr_Occurred() || maps < 0)
        return NULL;
    Py_ssize_t size = PyList_GET_SIZE(args[2]);
    PyObject *found = PyList_New(size);
    for (Py_ssize_t place = 0; found && place < size; place++) {
        long position = PyLong_AsLong(PyList_GET_ITEM(args[2], place));
        if (position == -1 && PyErr_Occurred()) {
            Py_DECREF(found);
            return NULL;
        }
        int index = maps ? char_index(handle, (int)position) : (int)position;
        void *item = index >= 0 ? char_object(handle, index) : NULL;
        PyObject *answer = PyLong_FromSsize_t(item ? ask(item) : 0);
        if (!answer) {
            Py_DECREF(found);
            return NULL;
        }
        PyList_SET_ITEM(found, place, answer);
    }
    return found;
}

static Py_ssize_t font_of(void *item) { return (Py_ssize_t)object_font(item); }

static PyObject *read_styles(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    return ask_objects(args, count, style_of);
}

static PyObject *read_fonts(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    return ask_objects(args, count, font_of);
}

/* The objects of a page and their fills: page_objects.py */

enum { NO_FILL = -1, UNKNOWN_FILL = -2 };

static long long fill_of(void *item) {
    int mode = 0, stroke = 0;
    unsigned int red, green, blue, alpha;
    if (!path_mode(item, &mode, &stroke) || !mode)
        return NO_FILL;
    if (!fill_colour(item, &red, &green, &blue, &alpha))
        return UNKNOWN_FILL;
    return (long long)alpha << 24 | red << 16 | green << 8 | blue;
}

static long long address_of(void *item) { return (long long)(Py_ssize_t)item; }

/* What `ask` says of each object of a page. */
static PyObject *ask_page(PyObject *address, long long (*ask)(void *)) {
    void *page = PyLong_AsVoidPtr(address);
    if (!is_bound() || PyErr_Occurred())
        return NULL;
    int size = object_count(page);
    size = size < 0 ? 0 : size > MAX_OBJECTS ? MAX_OBJECTS : size;
    PyObject *found = PyList_New(size);
    for (int place = 0; found && place < size; place++) {
        PyObject *answer = PyLong_FromLongLong(ask(object_at(page, place)));
        if (!answer) {
            Py_DECREF(found);
            return NULL;
        }
        PyList_SET_ITEM(found, place, answer);
    }
    return found;
}

static PyObject *list_objects(PyObject *module, PyObject *page) {
    return ask_page(page, address_of);
}

static PyObject *read_fills(PyObject *module, PyObject *page) { return ask_page(page, fill_of); }

/* How often each character occurs: account.py */

enum { COMMON_CODES = 0x2100 };

static int set_count(PyObject *counts, Py_UCS4 code, long count) {
    PyObject *key = PyUnicode_FromOrdinal((int)code), *value = PyLong_FromLong(count);
    int set = key && value && PyDict_SetItem(counts, key, value) == 0;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return set;
}

static PyObject *count_codes(PyObject *module, PyObject *text) {
    static long common[COMMON_CODES]; /* all zero between calls */
    static Py_UCS4 there[COMMON_CODES];
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "count_codes(text)");
        return NULL;
    }
    PyObject *counts = PyDict_New();
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text), right = counts != NULL, distinct = 0;
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t place = 0; right && place < size; place++) {
        Py_UCS4 code = PyUnicode_READ(kind, data, place);
        if (code < COMMON_CODES) {
            if (!common[code]++)
                there[distinct++] = code;
            continue;
        }
        PyObject *key = PyUnicode_FromOrdinal((int)code);
        PyObject *known = key ? PyDict_GetItemWithError(counts, key) : NULL;
        right = key && !PyErr_Occurred() &&
                set_count(counts, code, known ? PyLong_AsLong(known) + 1 : 1);
        Py_XDECREF(key);
    }
    for (int place = 0; place < distinct; place++) {
        if (right)
            right = set_count(counts, there[place], common[there[place]]);
        common[there[place]] = 0;
    }
    if (!right)
        Py_CLEAR(counts);
    return counts;
}

static PyMethodDef METHODS[] = {
    {"function_names", function_names, METH_NOARGS, "The functions of PDFium that are asked."},
    {"bind", bind, METH_O, "Takes the addresses of the functions, in that order."},
    {"read_lines", (PyCFunction)(void (*)(void))read_lines, METH_FASTCALL, "See characters.py."},
    {"find_words", (PyCFunction)(void (*)(void))find_words, METH_FASTCALL, "See characters.py."},
    {"read_inks", (PyCFunction)(void (*)(void))read_inks, METH_FASTCALL, "See characters.py."},
    {"read_fonts", (PyCFunction)(void (*)(void))read_fonts, METH_FASTCALL, "See characters.py."},
    {"read_drawing", (PyCFunction)(void (*)(void))read_drawing, METH_FASTCALL, "See drawing.py."},
    {"read_styles", (PyCFunction)(void (*)(void))read_styles, METH_FASTCALL, "See hidden.py."},
    {"list_objects", list_objects, METH_O, "See page_objects.py."},
    {"read_fills", read_fills, METH_O, "See page_objects.py."},
    {"count_codes", count_codes, METH_O, "See account.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_native", "PDFium, asked in bulk.", -1, METHODS, NULL, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&MODULE); }
