// sle_activity: two joint counts and CRP of one activity by patient and visit.
data {
  int<lower=1> n;
  int<lower=1> n_rows;                         // patient and visit
  int<lower=1> subject[n_rows];
  int<lower=0, upper=2> later[n_rows];
  int<lower=0, upper=28> joints[n_rows, 2];
  vector<lower=0>[n_rows] crp;
  int<lower=0, upper=1> censored[n_rows];
  vector[n] treated;
}
parameters {
  vector[2] time_course;
  vector[2] effect;
  real<lower=0> sd_visit;
  vector[2] count_level;
  vector<lower=0>[2] count_loading;
  vector<lower=0>[2] sd_count;
  vector<lower=0, upper=1>[2] overdispersion;
  real marker_level;
  real marker_loading;
  real<lower=0> sd_marker;
  real<lower=0> sd_residual;
  vector[n] level;
  vector[n_rows] departure;                    // in sd_visit
  matrix[n, 2] own_count;
  vector[n] own_marker;
}
model {
  vector[n_rows] activity = level[subject] + sd_visit * departure;
  time_course ~ std_normal();
  effect ~ std_normal();
  sd_visit ~ normal(0, 0.5);
  count_level ~ normal(-1, 1);
  count_loading ~ lognormal(-0.3, 0.5);
  sd_count ~ normal(0, 0.5);
  overdispersion ~ beta(1, 15);
  marker_level ~ normal(1, 3);
  marker_loading ~ std_normal();
  sd_marker ~ std_normal();
  sd_residual ~ lognormal(-0.5, 0.5);
  level ~ std_normal();
  departure ~ std_normal();
  to_vector(own_count) ~ std_normal();
  own_marker ~ std_normal();
  for (r in 1:n_rows)
    if (later[r]) activity[r] += time_course[later[r]] + effect[later[r]] * treated[subject[r]];
  for (k in 1:2) {
    real c = (1 - overdispersion[k]) / overdispersion[k];
    vector[n_rows] share = inv_logit(count_level[k] + sd_count[k] * own_count[subject, k] + count_loading[k] * activity);
    joints[, k] ~ beta_binomial(28, share * c, (1 - share) * c);
  }
  for (r in 1:n_rows) {
    real location = marker_level + sd_marker * own_marker[subject[r]] + marker_loading * activity[r];
    if (censored[r]) target += lognormal_lcdf(crp[r] | location, sd_residual);
    else crp[r] ~ lognormal(location, sd_residual);
  }
}
