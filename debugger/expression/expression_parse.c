/* Operators: C's, by precedence, and selector:offset (expression.h). */
#include <string.h>

#include "debugger/expression/expression_tree.h"

enum { DEPTH_MAX = 100 };

/* ---- types of results ---- */

/* An operand as a number or pointer; an array is the address of its first element. */
static Node *parse_decay(Parse *p, Node *n)
{
    if (!n)
        return NULL;
    const Type *t = type_strip(n->type);
    if (n->kind == NODE_TYPE || t->kind == TYPE_FLOAT || t->kind == TYPE_VOID)
        return parse_error(p, "a number is needed before");
    if (t->kind == TYPE_ARRAY)
        return node_new(p, NODE_ADDRESS, parse_pointer_type(p, type_target(t)), n, NULL);
    if (type_is_record(t))
        return parse_error(p, "a structure cannot be calculated with, before");
    return n;
}

/* C's integer promotions, with functions as plain addresses (C11 6.3.1.1). */
static const Type *promoted(const Type *t)
{
    t = type_strip(t);
    if (t->kind == TYPE_FUNCTION || t->kind == TYPE_POINTER)
        return &type_number;
    if (t->plain)
        return t;
    if (t->size == 8)
        return t->is_signed ? &type_long : &type_unsigned_long;
    return t->size == 4 && !t->is_signed ? &type_unsigned : &type_int;
}

/* The usual arithmetic conversions (C11 6.3.1.8). */
static const Type *common_type(const Type *a, const Type *b)
{
    a = promoted(a);
    b = promoted(b);
    bool plain = a->plain && b->plain, is_unsigned = (a->size == 8 && !a->is_signed) || (b->size == 8 && !b->is_signed);
    if (a->size < 8 && b->size < 8)
        return a->is_signed && b->is_signed ? &type_int : &type_unsigned;
    if (plain)
        return is_unsigned ? &type_number : &type_integer;
    return is_unsigned ? &type_unsigned_long : &type_long;
}

static bool is_pointer(const Node *n) { return type_strip(n->type)->kind == TYPE_POINTER; }

static uint64_t pointed_size(const Node *n) { return MAX(type_size(type_target(type_strip(n->type))), 1u); }

static Node *scaled(Parse *p, Node *n, uint64_t size)
{
    if (!n || size == 1)
        return n;
    Node *product = node_new(p, NODE_BINARY, &type_integer, n, node_number(p, size, &type_integer));
    if (product)
        product->op = '*';
    return product;
}

static Node *binary(Parse *p, int op, const Type *type, Node *a, Node *b)
{
    Node *n = a && b ? node_new(p, NODE_BINARY, type, a, b) : NULL;
    if (n)
        n->op = op;
    return n;
}

/* Pointers count in what they point to. */
static Node *pointer_sum(Parse *p, int op, Node *a, Node *b)
{
    if (is_pointer(a) && is_pointer(b)) {
        if (op == '+')
            return parse_error(p, "two pointers cannot be added, before");
        Node *bytes = binary(p, '-', &type_long, a, b);
        return binary(p, '/', &type_long, bytes, node_number(p, pointed_size(a), &type_long));
    }
    if (is_pointer(a))
        return binary(p, op, a->type, a, scaled(p, b, pointed_size(a)));
    if (op == '-')
        return binary(p, op, &type_number, a, b);
    return binary(p, op, b->type, scaled(p, a, pointed_size(b)), b);
}

static bool is_comparison(int op) { return op == '<' || op == '>' || (op >= OP_LE && op <= OP_OR); }

static Node *parse_binary_node(Parse *p, int op, Node *a, Node *b)
{
    a = parse_decay(p, a);
    b = parse_decay(p, b);
    if (!a || !b)
        return NULL;
    if (is_comparison(op))
        return binary(p, op, &type_integer, a, b);
    if ((op == '+' || op == '-') && (is_pointer(a) || is_pointer(b)))
        return pointer_sum(p, op, a, b);
    return binary(p, op, op == OP_SHL || op == OP_SHR ? promoted(a->type) : common_type(a->type, b->type), a, b);
}

/* ss:sp takes the base that the register holds; a number is looked up in the tables when it is worked out. */
static Node *parse_segment_node(Parse *p, Node *a, Node *b)
{
    static const char names[SEG_LDTR][3] = { "es", "cs", "ss", "ds", "fs", "gs" };
    a = parse_decay(p, a);
    b = parse_decay(p, b);
    Node *n = a && b ? node_new(p, NODE_SEGMENT, &type_number, a, b) : NULL;
    if (!n)
        return NULL;
    n->number = SEG_COUNT;
    for (unsigned k = 0; a->kind == NODE_REGISTER && k < SEG_LDTR; k++)
        if (!strcmp(a->reg.name, names[k]))
            n->number = k;
    return n;
}

/* ---- operators of two operands ---- */

typedef struct Operator {
    char text[3];
    int op, precedence;
} Operator;

/* Those of two characters first. */
static const Operator operators[] = {
    { "<<", OP_SHL, 8 }, { ">>", OP_SHR, 8 }, { "<=", OP_LE, 7 }, { ">=", OP_GE, 7 }, { "==", OP_EQ, 6 },
    { "!=", OP_NE, 6 }, { "&&", OP_AND, 2 }, { "||", OP_OR, 1 }, { "*", '*', 11 }, { "/", '/', 11 }, { "%", '%', 11 },
    { "+", '+', 10 }, { "-", '-', 10 }, { ":", ':', 9 }, { "<", '<', 7 }, { ">", '>', 7 }, { "&", '&', 5 },
    { "^", '^', 4 }, { "|", '|', 3 },
};

static const Operator *peek_operator(Parse *p)
{
    parse_blanks(p);
    for (unsigned k = 0; k < G_N_ELEMENTS(operators); k++) {
        const Operator *o = &operators[k];
        if (g_str_has_prefix(p->at, o->text))
            return o->op == ':' && p->in_choice ? NULL : o;
    }
    return NULL;
}

static Node *parse_binary(Parse *p, int least)
{
    const Operator *o;
    Node *a = parse_unary(p);
    while (a && (o = peek_operator(p)) && o->precedence >= least) {
        p->at += strlen(o->text);
        Node *b = parse_binary(p, o->precedence + 1);
        a = o->op == ':' ? parse_segment_node(p, a, b) : parse_binary_node(p, o->op, a, b);
    }
    return a;
}

static Node *parse_choice(Parse *p, Node *condition)
{
    bool before = p->in_choice;
    p->in_choice = true;
    Node *yes = parse_decay(p, parse_expression(p));
    p->in_choice = before;
    if (!yes || !parse_expect(p, ":"))
        return NULL;
    Node *no = parse_decay(p, parse_expression(p));
    condition = parse_decay(p, condition);
    if (!no || !condition)
        return NULL;
    bool pointers = is_pointer(yes) && (is_pointer(no) || no->kind == NODE_NUMBER);
    Node *n = node_new(p, NODE_CONDITION, pointers ? yes->type : common_type(yes->type, no->type), condition, yes);
    if (n)
        n->c = no;
    return n;
}

Node *parse_expression(Parse *p)
{
    if (p->depth >= DEPTH_MAX)
        return parse_error(p, "too deeply nested");
    p->depth++;
    Node *n = parse_binary(p, 1);
    parse_blanks(p);
    if (n && *p->at == '?') {
        p->at++;
        n = parse_choice(p, n);
    }
    p->depth--;
    return n;
}

/* ---- operators of one operand ---- */

Node *parse_memory(Parse *p, Node *address, const Type *type, NodeKind kind)
{
    address = parse_decay(p, address);
    return address ? node_new(p, kind, type, address, NULL) : NULL;
}

/* A number alone points to words of the size that the code has. */
static Node *dereference(Parse *p, Node *a)
{
    a = parse_decay(p, a);
    if (!a)
        return NULL;
    const Type *t = type_strip(a->type), *to;
    if (t->kind == TYPE_POINTER)
        to = type_target(t);
    else
        to = type_unsigned_of(p->cpu && p->cpu->code_size == SZ16 ? 2 : p->cpu && p->cpu->code_size == SZ32 ? 4 : 8);
    if (type_strip(to)->kind == TYPE_VOID)
        return parse_error(p, "a pointer to void cannot be followed without a cast, before");
    return node_new(p, NODE_MEMORY, to, a, NULL);
}

static Node *address_of(Parse *p, Node *a)
{
    if (!a)
        return NULL;
    if (a->kind == NODE_NUMBER)        /* a symbol without a type */
        return a;
    if (a->kind == NODE_PHYSICAL)
        return a->a;
    if (!node_is_place(a) || a->kind == NODE_REGISTER || a->bits)
        return parse_error(p, "'&' needs something that lies in memory, before");
    return node_new(p, NODE_ADDRESS, parse_pointer_type(p, a->type), a, NULL);
}

static Node *unary(Parse *p, int op, Node *a)
{
    a = parse_decay(p, a);
    if (!a)
        return NULL;
    const Type *t = op == '!' ? &type_integer : promoted(a->type);
    if (op == '-' && t == &type_number)
        t = &type_integer;
    Node *n = node_new(p, NODE_UNARY, t, a, NULL);
    if (n)
        n->op = op;
    return n;
}

static Node *cast(Parse *p, const Type *type, Node *a)
{
    const Type *t = type_strip(type);
    a = parse_decay(p, a);
    if (!a)
        return NULL;
    if (!type_is_scalar(t))
        return parse_error(p, "only numbers and pointers can be cast to; *(TYPE *)ADDRESS is what lies there; before");
    return node_new(p, NODE_CAST, type, a, NULL);
}

static Node *size_node(Parse *p, const Type *type)
{
    return node_number(p, type_size(type), &type_number);
}

/* "(TYPE)" at this place; NULL with the place unmoved when it is something else. */
static const Type *parse_type_in_parentheses(Parse *p)
{
    const char *before = p->at;
    if (!parse_accept(p, "("))
        return NULL;
    const Type *t = parse_type(p);
    if (t && parse_expect(p, ")"))
        return t;
    if (!p->failed)
        p->at = before;
    return NULL;
}

static bool is_word(const char *at, const char *word)
{
    size_t n = strlen(word);
    return !strncmp(at, word, n) && !g_ascii_isalnum(at[n]) && at[n] != '_';
}

static Node *parse_sizeof(Parse *p)
{
    p->at += strlen("sizeof");
    const Type *t = parse_type_in_parentheses(p);
    if (t || p->failed)
        return t ? size_node(p, t) : NULL;
    Node *n = parse_unary(p);
    return n ? size_node(p, n->type) : NULL;
}

/* ---- what follows an operand ---- */

static Node *parse_index(Parse *p, Node *a)
{
    bool before = p->in_choice;
    p->in_choice = false;
    Node *index = parse_expression(p);
    p->in_choice = before;
    if (!index || !parse_expect(p, "]"))
        return NULL;
    a = parse_decay(p, a);
    if (a && !is_pointer(a))
        return parse_error(p, "'[' needs an array or a pointer before it; memory is u8[], u16[], u32[] or u64[]; at");
    return dereference(p, parse_binary_node(p, '+', a, index));
}

static Node *parse_member(Parse *p, Node *a)
{
    uint64_t offset = 0;
    parse_blanks(p);
    size_t n = 0;
    while (g_ascii_isalnum(p->at[n]) || p->at[n] == '_')
        n++;
    g_autofree char *name = g_strndup(p->at, n);
    if (type_strip(a->type)->kind == TYPE_POINTER)
        a = dereference(p, a);
    if (!a)
        return NULL;
    if (!type_is_record(a->type) || !node_is_place(a))
        return parse_error(p, "only a structure has members, before");
    const TypeMember *m = type_member(a->type, name, &offset);
    if (!m) {
        g_autoptr(GString) type = g_string_new(NULL);
        type_declare(a->type, NULL, type);
        return parse_error(p, "%s has no member '%s'", type->str, name);
    }
    p->at += n;
    Node *node = node_new(p, NODE_MEMBER, m->type, a, NULL);
    if (node) {
        node->number = offset;
        node->bit_offset = m->bit_offset;
        node->bits = m->bits;
    }
    return node;
}

static Node *parse_postfix(Parse *p, Node *a)
{
    while (a) {
        if (parse_accept(p, "["))
            a = parse_index(p, a);
        else if (parse_accept(p, "->") || parse_accept(p, "."))
            a = parse_member(p, a);
        else
            break;
    }
    return a;
}

static Node *parse_parentheses(Parse *p)
{
    bool before = p->in_choice;
    p->in_choice = false;
    p->at++;
    Node *n = parse_expression(p);
    p->in_choice = before;
    return n && parse_expect(p, ")") ? n : NULL;
}

static Node *parse_operand(Parse *p)
{
    if (*p->at == '(')
        return parse_parentheses(p);
    if (g_ascii_isdigit(*p->at) || (*p->at == '\'' && p->at[1] && (p->at[1] == '\\' || p->at[2] == '\'')))
        return parse_number(p);
    return parse_name(p);
}

static Node *parse_operator(Parse *p)
{
    int op = *p->at;
    if (is_word(p->at, "sizeof"))
        return parse_sizeof(p);
    if (op == '(') {
        const Type *t = parse_type_in_parentheses(p);
        if (t || p->failed)
            return t ? cast(p, t, parse_unary(p)) : NULL;
    }
    if (!op || !strchr("-+~!*&", op))
        return parse_postfix(p, parse_operand(p));
    p->at++;
    Node *a = parse_unary(p);
    switch (op) {
    case '*': return dereference(p, a);
    case '&': return address_of(p, a);
    default: return unary(p, op, a);
    }
}

Node *parse_unary(Parse *p)
{
    if (p->depth >= DEPTH_MAX)
        return parse_error(p, "too deeply nested");
    p->depth++;
    parse_blanks(p);
    Node *n = parse_operator(p);
    p->depth--;
    return n;
}
