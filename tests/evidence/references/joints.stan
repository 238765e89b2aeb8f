// sle_joints: beta-binomial counts of 28, tender and swollen, each with a level of each patient.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> subject[n_rows];
  int<lower=0, upper=2> later[n_rows];         // visit after the first, 0 for the first
  int<lower=0, upper=28> joints[n_rows, 2];
  vector[n] treated;
}
parameters {
  vector[2] mean_level;
  matrix[2, 2] time_course;                  // later visit, outcome
  matrix[2, 2] effect;
  vector<lower=0>[2] sd_patient;
  vector<lower=0, upper=1>[2] overdispersion;
  matrix[n, 2] z;
}
model {
  mean_level ~ normal(-1, 1);
  to_vector(time_course) ~ std_normal();
  to_vector(effect) ~ std_normal();
  sd_patient ~ std_normal();
  overdispersion ~ beta(1, 15);
  to_vector(z) ~ std_normal();
  for (k in 1:2) {
    real c = (1 - overdispersion[k]) / overdispersion[k];
    vector[n_rows] share;
    for (r in 1:n_rows) {
      share[r] = mean_level[k] + sd_patient[k] * z[subject[r], k];
      if (later[r]) share[r] += time_course[later[r], k] + effect[later[r], k] * treated[subject[r]];
    }
    share = inv_logit(share);
    joints[, k] ~ beta_binomial(28, share * c, (1 - share) * c);
  }
}
