/*
 * Types of C, as DWARF describes them or an expression makes them.
 *
 * Types of DWARF belong to their file (dwarf.h), those an expression makes to it, and the basic ones to nobody.  What
 * they point to and their members are looked up when first asked for, which any thread may do.
 */
#ifndef MYNA_DEBUGGER_TYPE_H
#define MYNA_DEBUGGER_TYPE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum TypeKind {
    TYPE_VOID, TYPE_INTEGER, TYPE_CHAR, TYPE_BOOL, TYPE_FLOAT, TYPE_ENUM, TYPE_POINTER, TYPE_ARRAY, TYPE_STRUCT,
    TYPE_UNION, TYPE_FUNCTION, TYPE_TYPEDEF, TYPE_QUALIFIER /* name: "const" */
} TypeKind;

typedef struct Type Type;

/* A member, a parameter (without a place), or a constant of an enumeration (value). */
typedef struct TypeMember {
    const char *name;          /* NULL: an anonymous structure, a bit-field's padding, a parameter without a name */
    const Type *type;
    uint64_t offset;           /* in bytes */
    unsigned bit_offset, bits; /* of a bit-field, from the lowest bit of the byte at `offset`; else bits is 0 */
    int64_t value;
} TypeMember;

struct Type {
    TypeKind kind;
    bool is_signed;
    bool plain;                /* a number that nobody gave a type: shown as numbers are in this debugger */
    bool variadic, unbounded;  /* of a function; of an array */
    const char *name;          /* without "struct"; NULL: none */
    uint64_t size;             /* in bytes; of an incomplete structure 0 */
    uint64_t count;            /* elements of an array */
    const Type *target;        /* of what it is made; NULL: void, or ask type_target() */
    struct DwarfFile *file;    /* NULL: not of DWARF */
    uint64_t die;              /* offset of its description there, 0: of nothing */
    GArray *members;           /* of TypeMember, once they were asked for */
    bool targeted;             /* target was looked up */
};

extern const Type type_number, type_integer; /* 64 bits that nobody gave a type, unsigned and signed */
extern const Type type_void, type_int, type_unsigned, type_long, type_unsigned_long, type_byte;

/* A basic type by its C name in the usual order ("unsigned long", "u32", "uint8_t"); NULL: none. */
const Type *type_basic(const char *name);

/* An unsigned integer of 1, 2, 4 or 8 bytes. */
const Type *type_unsigned_of(unsigned size);

/* Without typedefs and qualifiers; never NULL, as the following one. */
const Type *type_strip(const Type *t);
const Type *type_target(const Type *t);

/* Members of a structure or union, parameters of a function, constants of an enumeration; owned by t. */
const GArray *type_members(const Type *t);

bool type_is_record(const Type *t);     /* a structure or union */
bool type_is_scalar(const Type *t);     /* fits into 64 bits and counts */

/* A member by name, also of anonymous structures within; *offset is added to.  NULL: none. */
const TypeMember *type_member(const Type *t, const char *name, uint64_t *offset);

/* Its size, that of the element of an array of unknown length being 0. */
uint64_t type_size(const Type *t);

/* The value that these bits are in that type: cut to its size, and extended with its sign. */
uint64_t type_fit(const Type *t, uint64_t bits);

/* "struct task_struct *"; with a name, the declaration "char comm[16]". */
void type_declare(const Type *t, const char *name, GString *out);

/* Its definition, "struct list_head {" and so on, on several lines (gdb's ptype). */
void type_define(const Type *t, GString *out);

#endif
