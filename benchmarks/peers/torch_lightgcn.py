"""LightGCN's training step in PyTorch, a peer to measure against; needs PyTorch and NumPy alone.

    python benchmarks/peers/torch_lightgcn.py FORM GRAPH.npz BATCH_SIZE STEPS

Answers every line on stdin with the milliseconds a step took, over STEPS steps. FORM is "coo", the
public LightGCN-PyTorch's way (`torch.sparse.mm` of a coalesced COO matrix with int64 indices and
its derived gradient), or "csr", tuned: CSR with int32 indices, its own gradient, a fused Adam.
Negatives are drawn without a check, which favours PyTorch.
"""

import sys
import time
import warnings

import numpy as np
import torch

WIDTH, LAYERS, REGULARIZATION, LEARNING_RATE = 64, 3, 1e-4, 1e-2


class _Symmetric(torch.autograd.Function):
    """Product with a symmetric matrix, so that the gradient needs no transposed one."""

    @staticmethod
    def forward(ctx, matrix, x):
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx, dy):
        return None, ctx.matrix @ dy


def make_step(form, indptr, columns, n_items, batch_size):
    """Returns a function that takes one whole step and returns the loss."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n_users = len(indptr) - 1
    n_nodes = n_users + n_items
    users = np.repeat(np.arange(n_users), np.diff(indptr))
    sources = np.concatenate([users, columns + n_users])
    targets = np.concatenate([columns + n_users, users])
    degree = np.maximum(np.bincount(sources, minlength=n_nodes), 1)
    values = torch.tensor((degree[sources] * degree[targets]) ** -0.5, dtype=torch.float32)
    places = torch.tensor(np.stack([sources, targets]))
    matrix = torch.sparse_coo_tensor(places, values, (n_nodes, n_nodes)).coalesce()
    if form == "csr":
        csr = matrix.to_sparse_csr()
        starts, ids = csr.crow_indices().int(), csr.col_indices().int()
        matrix = torch.sparse_csr_tensor(starts, ids, csr.values(), (n_nodes, n_nodes))
    matrix = matrix.to(device)
    generator = torch.Generator(device).manual_seed(0)
    scale = (6 / (n_nodes + WIDTH)) ** 0.5
    draws = torch.rand(n_nodes, WIDTH, generator=generator, device=device)
    table = ((2 * draws - 1) * scale).requires_grad_()
    fused = {"fused": True} if form == "csr" else {}
    optimizer = torch.optim.Adam([table], LEARNING_RATE, **fused)
    owners, items = torch.tensor(users, device=device), torch.tensor(columns, device=device)
    owners, items = owners.long(), items.long()

    def propagate(x):
        return _Symmetric.apply(matrix, x) if form == "csr" else torch.sparse.mm(matrix, x)

    def draw(n):
        return torch.randint(n, (batch_size,), generator=generator, device=device)

    def step():
        place = draw(len(items))
        nodes = owners[place], items[place] + n_users, draw(n_items) + n_users
        rows = [table]
        for _ in range(LAYERS):
            rows.append(propagate(rows[-1]))
        user, positive, negative = (torch.stack(rows, dim=1).mean(dim=1)[at] for at in nodes)
        difference = (user * negative).sum(-1) - (user * positive).sum(-1)
        own = sum(table[at].square().sum() for at in nodes)
        loss = torch.nn.functional.softplus(difference).mean()
        loss = loss + REGULARIZATION * own / (2 * batch_size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def main(form, graph, batch_size, steps):
    with np.load(graph) as content:
        step = make_step(
            form, content["indptr"], content["columns"], int(content["n_items"]), int(batch_size)
        )
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(steps)):
            loss = step()
        float(loss)
        print(1e3 * (time.perf_counter() - started) / int(steps), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # CSR matrices are in beta, says PyTorch
    main(*sys.argv[1:])
