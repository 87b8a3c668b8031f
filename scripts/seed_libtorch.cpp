// What libtorch does with an identity given as grad_output. It does not select the diagonal of the Jacobian: for an
// output of shape (3), grad sums a grad_output of shape (3, 3) to (3), so that eye(3) becomes ones(3). Where J is
// diagonal nothing shows; elsewhere 1^T J 1, the sum of all entries, is taken for the trace.
//
//     g(x) = (A x) * x,   J = diag(x) A + diag(A x),   at x = 1:  J = A + diag(A 1)
//     1^T J 1 = 46 + 46 = 92,   tr J = 16 + 46 = 62
//
// Prints both cases; exits with 1 where a number is not the expected one. Python refuses the same call.
//
// Build and run, in the root of the repository, with the torch that `python` imports:
//
//     $ read -r abi torch < <(python -c 'import torch; print(int(torch._C._GLIBCXX_USE_CXX11_ABI), torch.__path__[0])')
//     $ program="${TMPDIR:-/tmp}/seed_libtorch"
//     $ c++ -std=c++20 -O0 -D_GLIBCXX_USE_CXX11_ABI="$abi" scripts/seed_libtorch.cpp -o "$program" \
//     $     -I"$torch/include" -I"$torch/include/torch/csrc/api/include" \
//     $     -L"$torch/lib" -Wl,-rpath,"$torch/lib" -ltorch_cpu -lc10
//     $ "$program"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <iostream>

namespace {

using torch::Tensor;

// sum(J^T v), for the Jacobian J of g at x.
double contracted(const Tensor& g, const Tensor& x, const Tensor& v) {
    return torch::autograd::grad({g}, {x}, {v}, /*retain_graph=*/true)[0].sum().item<double>();
}

// sum_i e_i^T J e_i: one product a unit vector, and only its i-th entry.
double trace(const Tensor& g, const Tensor& x) {
    const auto identity = torch::eye(x.numel());
    double sum = 0;
    for (int64_t i = 0; i < x.numel(); ++i)
        sum += torch::autograd::grad({g}, {x}, {identity[i]}, /*retain_graph=*/true)[0][i].item<double>();
    return sum;
}

bool check(const char* what, double value, double expected) {
    std::cout << what << " = " << value << (value == expected ? "" : ", which is not as expected") << '\n';
    return value == expected;
}

}  // namespace

int main() {
    // The seed's example, f = x . x: J = 2 I, where all three agree.
    const auto x = torch::ones(3, torch::requires_grad());
    const auto gradient = torch::autograd::grad({x.dot(x)}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    bool fine = check("x.x      ones ", contracted(gradient, x, torch::ones(3)), 6);
    fine &= check("x.x      eye  ", contracted(gradient, x, torch::eye(3)), 6);
    fine &= check("x.x      trace", trace(gradient, x), 6);

    // A dense J, where the identity gives what ones give and neither gives the trace.
    const auto A = torch::tensor({1., 2., 3., 4., 5., 6., 7., 8., 10.}, torch::kFloat32).reshape({3, 3});
    const auto g = A.mv(x) * x;
    fine &= check("(A x) x  ones ", contracted(g, x, torch::ones(3)), 92);
    fine &= check("(A x) x  eye  ", contracted(g, x, torch::eye(3)), 92);
    fine &= check("(A x) x  trace", trace(g, x), 62);
    return fine ? 0 : 1;
}
