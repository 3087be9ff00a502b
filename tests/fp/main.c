/* fp-tests [--cases N] [NAME...]: soft-float and the x87 against MPFR; N cases of each operation that begins so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fp/ops.h"

static bool is_chosen(const char *name, int count, char **names)
{
    for (int n = 0; n < count; n++)
        if (!strncmp(name, names[n], strlen(names[n])))
            return true;
    return count == 0;
}

static void report(const char *name, unsigned long differ, unsigned long cases, unsigned *passed, unsigned *failed)
{
    ++*(differ ? failed : passed);
    if (differ)
        printf("FAIL %s: %lu of %lu cases differ\n", name, differ, cases);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned long cases = 1000, total = 0;
    unsigned passed = 0, failed = 0;
    if (argc > 2 && !strcmp(argv[1], "--cases")) {
        cases = strtoul(argv[2], NULL, 10);
        argc -= 2;
        argv += 2;
    }
    oracle_init();
    for (unsigned n = 0; n < fp_op_count; n++)
        if (is_chosen(fp_ops[n].name, argc - 1, argv + 1)) {
            report(fp_ops[n].name, fp_op_run(&fp_ops[n], cases), cases, &passed, &failed);
            total += cases;
        }
    for (unsigned n = 0; n < x87_function_count; n++)
        if (is_chosen(x87_functions[n].name, argc - 1, argv + 1)) {
            const X87Function *f = &x87_functions[n];
            report(f->name, f->run(f, cases), cases, &passed, &failed);
            total += cases;
        }
    printf("%lu cases\n%u passed, %u failed\n", total, passed, failed);
    return failed != 0;
}
