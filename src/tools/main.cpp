#include "tools/command.hpp"

int main(int argc, char** argv) { return terrazzo::tools::run_program(argc, argv); }
