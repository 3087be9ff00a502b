/* Lowerings of vector instructions. */
#include "tcg/lower.h"

const Lowering lower_sse_rows[ROW_COUNT] = { { 0 } };
