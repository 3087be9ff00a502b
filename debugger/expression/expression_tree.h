/*
 * An expression parsed: a tree, for the files of expression.h's functions.
 *
 * A node has the type of its value.  Where that lies in memory or a register, the node is a place too (NODE_MEMORY to
 * NODE_MEMBER): its value is read from there, and arrays, structures and functions are their address.
 */
#ifndef MYNA_DEBUGGER_EXPRESSION_TREE_H
#define MYNA_DEBUGGER_EXPRESSION_TREE_H

#include "cpu/registers.h"
#include "debugger/expression/expression.h"
#include "debugger/symbols/dwarf.h"
#include "debugger/symbols/type.h"
#include "debugger/unwind/unwind.h"

typedef enum NodeKind {
    NODE_NUMBER,     /* number */
    NODE_CPU,        /* the CPU's number */
    NODE_PC,         /* CS:RIP, linear */
    NODE_SP,         /* SS:RSP, linear */
    NODE_FLAG,       /* bit `number` of EFLAGS */
    NODE_TYPE,       /* only a type: of sizeof and ptype */
    NODE_UNARY,      /* op a */
    NODE_BINARY,     /* a op b; && and || too */
    NODE_CONDITION,  /* a ? b : c */
    NODE_CAST,       /* (type) a */
    NODE_SEGMENT,    /* a:b; the segment register `number`, or that with selector a if number is SEG_COUNT */
    NODE_ADDRESS,    /* & of the place a */
    NODE_MEMORY,     /* a place at the linear address a */
    NODE_PHYSICAL,   /* at the physical address a */
    NODE_REGISTER,   /* a place in reg */
    NODE_VARIABLE,   /* one that DWARF locates anew in each frame */
    NODE_MEMBER,     /* of the place a, `number` bytes on */
} NodeKind;

/* Operators of more than one character. */
enum { OP_SHL = 256, OP_SHR, OP_LE, OP_GE, OP_EQ, OP_NE, OP_AND, OP_OR };

typedef struct Node {
    NodeKind kind;
    const Type *type;
    struct Node *a, *b, *c;
    int op;
    uint64_t number;
    unsigned bit_offset, bits;   /* of a member that is a bit-field */
    CpuRegister reg;
    DwarfVariable *variable;
} Node;

struct Expression {
    Node *root;
    GPtrArray *nodes;      /* all of them, owned */
    GPtrArray *types;      /* Type *, made by casts */
    GPtrArray *files;      /* DwarfFile *, held */
    Frame frame;
    bool has_frame;        /* it is about that frame, not about the CPU's registers */
};

/* What a parse has to work with. */
typedef struct Parse {
    Debugger *debugger;
    Cpu *cpu;
    const char *start, *at; /* where it is */
    Expression *e;
    GError **err;
    unsigned depth;
    bool failed;           /* parse_error() was called */
    bool in_choice;        /* between ? and ':', which then is not a selector's */
} Parse;

/* ---- making (expression.c, expression_parse.c, expression_name.c) ---- */

/* NULL after an error: there are too many. */
Node *node_new(Parse *p, NodeKind kind, const Type *type, Node *a, Node *b);
Node *node_number(Parse *p, uint64_t number, const Type *type);
const Type *parse_pointer_type(Parse *p, const Type *to);

/* Sets the error, with the place; returns NULL.  The first error stays. */
void *parse_error(Parse *p, const char *format, ...) G_GNUC_PRINTF(2, 3);
void parse_blanks(Parse *p);
bool parse_accept(Parse *p, const char *token);
bool parse_expect(Parse *p, const char *token);

Node *parse_expression(Parse *p);  /* all operators */
Node *parse_unary(Parse *p);
Node *parse_name(Parse *p);        /* register, symbol, variable, memory, function */
bool parse_is_variable(Parse *p, const char *name); /* of the function that the scope is in */
uint64_t parse_scope(Parse *p);    /* the place whose variables are visible */
Node *parse_number(Parse *p);      /* and character constants */
Node *parse_memory(Parse *p, Node *address, const Type *type, NodeKind kind);
/* A type's name, with its stars and brackets; NULL without an error: there is none here. */
const Type *parse_type(Parse *p);

/* ---- working out (expression_value.c, expression_place.c) ---- */

typedef struct Work {
    Cpu *cpu;
    const Frame *frame;    /* NULL: the CPU's registers */
    GError **err;
} Work;

typedef enum PlaceKind { PLACE_MEMORY, PLACE_PHYSICAL, PLACE_REGISTER, PLACE_BYTES } PlaceKind;
typedef struct Place {
    PlaceKind kind;
    uint64_t address;
    CpuRegister reg;
    uint8_t bytes[CPU_REGISTER_MAX_BYTES]; /* of PLACE_BYTES */
    unsigned skip;         /* bytes into the register or bytes */
    unsigned bit_offset, bits;
} Place;

static inline bool node_is_place(const Node *n) { return n->kind >= NODE_MEMORY; }
gboolean node_value(const Work *w, const Node *n, uint64_t *v);
gboolean node_place(const Work *w, const Node *n, Place *place);
gboolean place_read(const Work *w, const Place *place, void *buf, size_t size);
gboolean place_value(const Work *w, const Place *place, const Type *type, uint64_t *v);
gboolean place_write(const Work *w, const Place *place, const Type *type, uint64_t v);

/* ---- text (expression_print.c) ---- */

/* A value in its type: of bytes that were read, little-endian. */
void value_print(Debugger *d, Cpu *cpu, const Type *type, const uint8_t *bytes, size_t size, char format, GString *out);

#endif
