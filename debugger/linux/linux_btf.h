/*
 * BTF: the kernel's own description of its types (Linux, Documentation/bpf/btf.rst), as far as structures need it.
 *
 * Data may be damaged or made to harm: every index and offset is checked.
 */
#ifndef MYNA_DEBUGGER_LINUX_BTF_H
#define MYNA_DEBUGGER_LINUX_BTF_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Btf Btf;

/* Where a member lies in its structure. */
typedef struct BtfField {
    uint64_t offset;  /* in bytes; of a bit-field: of the byte with its first bit */
    uint64_t size;    /* in bytes; of a bit-field: of all bytes that it touches */
    unsigned shift;   /* of a bit-field: first bit in them */
    unsigned bits;    /* 0: no bit-field */
    uint32_t type;    /* number of its type */
} BtfField;

/* Takes over `data`.  NULL with *err; types behind a damaged one are left out. */
Btf *btf_new(GBytes *data, GError **err);
void btf_free(Btf *b);

/* The largest sensible blob: what says it is larger is damaged. */
#define BTF_MAX_SIZE (64u << 20)

/* The number of a structure or union by its name; 0: none. */
uint32_t btf_find(const Btf *b, const char *name);

/* Size of a type in bytes, behind typedefs and qualifiers; an array's is all of it.  False when it has none. */
bool btf_size(const Btf *b, uint32_t type, uint64_t *size);

/* Number of elements of an array, or 0; and the type of them. */
uint32_t btf_array(const Btf *b, uint32_t type, uint32_t *element);

/*
 * A member of a structure by its name, anonymous structures and unions included; a path goes into members that are
 * structures themselves: "desc_ring.head_id.counter".
 */
bool btf_field(const Btf *b, uint32_t structure, const char *path, BtfField *f);

#endif
